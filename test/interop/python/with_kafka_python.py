"""kafka-python."""

import kafka
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import TopicPartition

from worker import leaving, main, records, say, say_record

patience = 30


def produce(options):
    idempotent = {"enable_idempotence": True} if options["idempotent"] else {"enable_idempotence": False}
    producer = kafka.KafkaProducer(
        bootstrap_servers=options["bootstrap"],
        compression_type=None if options["codec"] == "none" else options["codec"],
        acks="all",
        linger_ms=50,
        retries=5,
        **idempotent,
    )
    sent = [
        producer.send(
            options["topic"],
            key=record.key,
            value=record.value,
            headers=record.headers,
            partition=record.partition,
            timestamp_ms=record.timestamp,
        )
        for record in records(options)
    ]
    for each in sent:
        each.get(timeout=patience)
    producer.close()


def say_message(message):
    timestamp = -1 if message.timestamp is None else message.timestamp
    say_record(message.partition, message.offset, timestamp, message.key, message.value, message.headers or ())


def consume(options):
    consumer = kafka.KafkaConsumer(bootstrap_servers=options["bootstrap"], group_id=None, check_crcs=True)
    topic = options["topic"]
    partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(each) < ends[each] for each in partitions):
        for messages in consumer.poll(1000).values():
            for message in messages:
                say_message(message)
    consumer.close()


def member(options):
    consumer = kafka.KafkaConsumer(
        options["topic"],
        bootstrap_servers=options["bootstrap"],
        group_id=options["group"],
        auto_offset_reset="earliest",
        auto_commit_interval_ms=100,
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
    )
    assigned = []
    while not leaving.is_set():
        polled = consumer.poll(100)
        now = sorted(each.partition for each in consumer.assignment())
        if now != assigned:
            assigned = now
            say("assigned", partitions=now)
        for messages in polled.values():
            for message in messages:
                say_message(message)
    consumer.close()


def metadata(options):
    consumer = kafka.KafkaConsumer(bootstrap_servers=options["bootstrap"])
    topic = options["topic"]
    partitions = consumer.partitions_for_topic(topic)
    cluster = consumer._client.cluster
    say(
        "metadata",
        brokers=[f"{broker.host}:{broker.port}" for broker in cluster.brokers()],
        partitions=[
            {"partition": p, "leader": cluster.leader_for_partition(TopicPartition(topic, p))} for p in partitions
        ],
    )
    consumer.close()


def offsets(options):
    consumer = kafka.KafkaConsumer(bootstrap_servers=options["bootstrap"])
    topic = options["topic"]
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
    found = consumer.offsets_for_times({each: options["timestamp"] for each in partitions})
    say("offsets", offsets=[-1 if found[each] is None else found[each].offset for each in partitions])
    consumer.close()


def admin(options):
    client = KafkaAdminClient(bootstrap_servers=options["bootstrap"])
    topic = options["topic"]
    group = options["group"]
    client.create_topics([NewTopic(name=topic, num_partitions=2, replication_factor=1)])
    committed = client.list_consumer_group_offsets(group)
    say(
        "admin",
        topics=client.list_topics(),
        committed=sorted([each.partition, offset.offset] for each, offset in committed.items()),
        brokers=len(client.describe_cluster()["brokers"]),
    )
    client.delete_topics([topic])
    client.close()


main(
    {"produce": produce, "consume": consume, "member": member, "metadata": metadata, "offsets": offsets, "admin": admin}
)
