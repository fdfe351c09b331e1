"""librdkafka, through confluent-kafka."""

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from worker import leaving, main, records, say, say_record

patience = 30


def produce(options):
    failures = []
    producer = kafka.Producer(
        {
            "bootstrap.servers": options["bootstrap"],
            "compression.type": options["codec"],
            "enable.idempotence": options["idempotent"],
            "linger.ms": 50,
        }
    )
    for record in records(options):
        producer.produce(
            options["topic"],
            key=record.key,
            value=record.value,
            headers=record.headers,
            partition=record.partition,
            on_delivery=lambda error, _: error and failures.append(error),
            **({} if record.timestamp is None else {"timestamp": record.timestamp}),
        )
    left = producer.flush(patience)
    assert left == 0 and not failures, (left, failures[:3])


def say_message(message):
    say_record(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or (),
    )


def consume(options):
    consumer = kafka.Consumer(
        {
            "bootstrap.servers": options["bootstrap"],
            "group.id": "unused",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "check.crcs": True,
        }
    )
    topic = options["topic"]
    partitions = consumer.list_topics(topic, patience).topics[topic].partitions
    consumer.assign([kafka.TopicPartition(topic, p, kafka.OFFSET_BEGINNING) for p in partitions])
    left = len(partitions)
    while left > 0:
        message = consumer.poll(patience)
        assert message is not None, "nothing more comes"
        if message.error() is None:
            say_message(message)
        elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
            left -= 1
        else:
            raise kafka.KafkaException(message.error())
    consumer.close()


def member(options):
    classic = {
        "partition.assignment.strategy": options["strategy"],
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 300,
    }
    consumer = kafka.Consumer(
        {
            "bootstrap.servers": options["bootstrap"],
            "group.id": options["group"],
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 100,
            **({"group.protocol": "consumer"} if options["strategy"] is None else classic),
        }
    )
    consumer.subscribe([options["topic"]])
    assigned = []
    while not leaving.is_set():
        message = consumer.poll(0.1)
        now = sorted(each.partition for each in consumer.assignment())
        if now != assigned:
            assigned = now
            say("assigned", partitions=now)
        if message is None:
            continue
        if message.error() is not None:
            raise kafka.KafkaException(message.error())
        say_message(message)
    consumer.close()


def copy(options):
    """Copies a topic in transactions, and aborts some of them."""
    consumer = kafka.Consumer(
        {
            "bootstrap.servers": options["bootstrap"],
            "group.id": options["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300,
        }
    )
    producer = kafka.Producer(
        {
            "bootstrap.servers": options["bootstrap"],
            "transactional.id": options["transactionalId"],
            "transaction.timeout.ms": 20000,
        }
    )
    producer.init_transactions(patience)
    consumer.subscribe([options["topic"]])
    done = rounds = 0
    while done < options["count"]:
        messages = [each for each in consumer.consume(options["size"], 1.0) if each.error() is None]
        if not messages:
            continue
        producer.begin_transaction()
        for each in messages:
            producer.produce(options["target"], key=each.key(), value=each.value(), partition=each.partition())
        if rounds % 3 == 1:
            assert producer.flush(patience) == 0
            producer.abort_transaction(patience)
            # from where it began
            for partition in consumer.assignment():
                first = [each.offset() for each in messages if each.partition() == partition.partition]
                if first:
                    consumer.seek(kafka.TopicPartition(partition.topic, partition.partition, first[0]))
        else:
            positions = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), patience)
            producer.commit_transaction(patience)
            done += len(messages)
        rounds += 1
    consumer.close()


def metadata(options):
    topic = options["topic"]
    found = AdminClient({"bootstrap.servers": options["bootstrap"]}).list_topics(topic, patience)
    say(
        "metadata",
        brokers=[f"{broker.host}:{broker.port}" for broker in found.brokers.values()],
        partitions=[{"partition": p.id, "leader": p.leader} for p in found.topics[topic].partitions.values()],
    )


def offsets(options):
    topic = options["topic"]
    consumer = kafka.Consumer({"bootstrap.servers": options["bootstrap"], "group.id": "unused"})
    partitions = sorted(consumer.list_topics(topic, patience).topics[topic].partitions)
    found = consumer.offsets_for_times(
        [kafka.TopicPartition(topic, p, options["timestamp"]) for p in partitions], patience
    )
    say("offsets", offsets=[each.offset for each in found])
    consumer.close()


def admin(options):
    client = AdminClient({"bootstrap.servers": options["bootstrap"]})
    topic = options["topic"]

    def wait(futures):
        return {name: future.result(patience) for name, future in futures.items()}

    wait(client.create_topics([NewTopic(topic, 2, 1, config={"cleanup.policy": "compact"})]))
    wait(client.create_partitions([NewPartitions(topic, 5)]))
    resource = kafka.admin.ConfigResource(kafka.admin.ConfigResource.Type.TOPIC, topic)
    (config,) = wait(client.describe_configs([resource])).values()
    groups = client.list_consumer_groups().result(patience)
    (group,) = wait(client.describe_consumer_groups([options["group"]])).values()
    request = kafka.ConsumerGroupTopicPartitions(options["group"])
    (committed,) = wait(client.list_consumer_group_offsets([request])).values()
    cluster = client.describe_cluster().result(patience)
    say(
        "admin",
        partitions=len(client.list_topics(topic, patience).topics[topic].partitions),
        policy=config["cleanup.policy"].value,
        groups=[each.group_id for each in groups.valid],
        members=len(group.members),
        committed=sorted([each.partition, each.offset] for each in committed.topic_partitions),
        cluster=cluster.cluster_id,
        brokers=len(cluster.nodes),
    )
    wait(client.delete_topics([topic]))
    wait(client.delete_consumer_groups([options["group"]]))


main(
    {
        "produce": produce,
        "consume": consume,
        "copy": copy,
        "member": member,
        "metadata": metadata,
        "offsets": offsets,
        "admin": admin,
    }
)
