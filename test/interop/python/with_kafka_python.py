"""kafka-python."""

import os
import sys
import threading

import kafka
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.structs import TopicPartition

from worker import leaving, main, records, say, say_record

patience = 30


def known(options):
    """The broker's version, where to ask for it takes seconds: it answers no ApiVersions."""
    return {"api_version": tuple(options["version"])} if "version" in options else {}


def produce(options):
    idempotent = {"enable_idempotence": True} if options["idempotent"] else {"enable_idempotence": False}
    producer = kafka.KafkaProducer(
        bootstrap_servers=options["bootstrap"],
        compression_type=None if options["codec"] == "none" else options["codec"],
        acks="all",
        linger_ms=50,
        retries=5,
        **known(options),
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
    consumer = kafka.KafkaConsumer(bootstrap_servers=options["bootstrap"], group_id=None, **known(options))
    topic = options["topic"]
    partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    positions = consumer.beginning_offsets(partitions)
    ends = consumer.end_offsets(partitions)
    while positions != ends:
        for partition, messages in consumer.poll(1000).items():
            for message in messages:
                say_message(message)
                positions[partition] = message.offset + 1
    consumer.close()


def begun_anew():
    """kafka-python 3 now and then does not get as far as joining, and says nothing: then its process begins anew."""
    print("nothing was assigned in 15 s: the member begins anew", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, *sys.argv])


def member(options):
    idle = threading.Timer(15, begun_anew)
    idle.daemon = True
    idle.start()
    consumer = kafka.KafkaConsumer(
        options["topic"],
        bootstrap_servers=options["bootstrap"],
        group_id=options["group"],
        auto_offset_reset="earliest",
        auto_commit_interval_ms=100,
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        **known(options),
    )
    assigned = []
    while not leaving.is_set():
        polled = consumer.poll(100)
        now = sorted(each.partition for each in consumer.assignment())
        if now != assigned:
            idle.cancel()
            assigned = now
            say("assigned", partitions=now)
        for messages in polled.values():
            for message in messages:
                say_message(message)
    consumer.close()


def metadata(options):
    # here it must find out the broker's version by itself
    patient = {"api_version_auto_timeout_ms": 4000} if "version" in options else {}
    consumer = kafka.KafkaConsumer(bootstrap_servers=options["bootstrap"], **patient)
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
    client.create_topics([NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "compact"})])
    client.create_partitions({topic: NewPartitions(5)})
    (described,) = client.describe_topics([topic])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    cluster = client.describe_cluster()
    if kafka.__version__.startswith("2."):
        (answer,) = client.describe_configs([resource])
        policy = {config[0]: config[1] for _, _, _, _, configs in answer.resources for config in configs}
        policy = policy["cleanup.policy"]
        groups = [each[0] for each in client.list_consumer_groups()]
        (members,) = [len(each.members) for each in client.describe_consumer_groups([group])]
        committed = client.list_consumer_group_offsets(group)
    else:
        policy = client.describe_configs([resource])["topic"][topic]["cleanup.policy"]["value"]
        groups = [each["group_id"] for each in client.list_groups()]
        members = len(client.describe_groups([group])[group]["members"])
        committed = client.list_group_offsets([group])[group]
    say(
        "admin",
        partitions=len(described["partitions"]),
        policy=policy,
        groups=groups,
        members=members,
        committed=sorted([each.partition, offset.offset] for each, offset in committed.items()),
        cluster=cluster["cluster_id"],
        brokers=len(cluster["brokers"]),
    )
    client.delete_topics([topic])
    delete = client.delete_consumer_groups if kafka.__version__.startswith("2.") else client.delete_groups
    delete([group])
    client.close()


main(
    {"produce": produce, "consume": consume, "member": member, "metadata": metadata, "offsets": offsets, "admin": admin}
)
