"""PyKafka."""

import os
import signal
import time

from pykafka import KafkaClient
from pykafka.balancedconsumer import BalancedConsumer
from pykafka.common import CompressionType, OffsetType
from pykafka.exceptions import LeaderNotFoundError
from pykafka.membershipprotocol import RangeProtocol, RoundRobinProtocol

from worker import leaving, main, records, say, say_record

codecs = {"none": CompressionType.NONE, "gzip": CompressionType.GZIP, "snappy": CompressionType.SNAPPY}


def topic_of(options):
    """PyKafka knows no in-sync replica that is no broker any more: while one leaves, the topic is asked for again."""
    until = time.monotonic() + 20
    while True:
        client = KafkaClient(hosts=options["bootstrap"], broker_version=options["version"])
        try:
            return client, client.topics[options["topic"]]
        except (KeyError, LeaderNotFoundError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def produce(options):
    client, topic = topic_of(options)
    wanted = []
    with topic.get_producer(
        compression=codecs[options["codec"]],
        partitioner=lambda partitions, _: next(each for each in partitions if each.id == wanted[-1]),
        sync=options["sync"],
        linger_ms=50,
        min_queued_messages=1000,
        delivery_reports=not options["sync"],
    ) as producer:
        all_records = records(options)
        for record in all_records:
            wanted.append(record.partition)
            producer.produce(record.value, partition_key=record.key)
        if not options["sync"]:
            for _ in all_records:
                _, error = producer.get_delivery_report(block=True, timeout=30)
                if error is not None:
                    raise error


def say_message(message):
    # PyKafka has 0 where a message has no timestamp
    say_record(message.partition_id, message.offset, message.timestamp or -1, message.partition_key, message.value)


def consume(options):
    client, topic = topic_of(options)
    ends = {p: answer.offset[0] for p, answer in topic.latest_available_offsets().items()}
    starts = {p: answer.offset[0] for p, answer in topic.earliest_available_offsets().items()}
    left = sum(ends.values()) - sum(starts.values())
    consumer = topic.get_simple_consumer(auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=30000)
    for _ in range(left):
        message = consumer.consume()
        assert message is not None, "nothing more comes"
        say_message(message)
    consumer.stop()


def committed(options):
    """Reads a part with a group, commits, and another consumer of the group reads the rest."""
    client, topic = topic_of(options)
    for count in options["counts"]:
        consumer = topic.get_simple_consumer(
            consumer_group=options["group"], auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=30000
        )
        for _ in range(count):
            message = consumer.consume()
            assert message is not None, "nothing more comes"
            say_message(message)
        consumer.commit_offsets()
        consumer.stop()


def member(options):
    client, topic = topic_of(options)
    consumer = topic.get_balanced_consumer(
        options["group"],
        managed=True,
        auto_offset_reset=OffsetType.EARLIEST,
        auto_commit_enable=True,
        auto_commit_interval_ms=100,
        consumer_timeout_ms=100,
        heartbeat_interval_ms=300,
        rebalance_backoff_ms=200,
        # what it still commits for the old generation is refused, and tried five times
        offsets_channel_backoff_ms=20,
    )
    assigned = []
    while not leaving.is_set():
        message = consumer.consume()
        now = sorted(consumer.partitions)
        if now != assigned:
            assigned = now
            say("assigned", partitions=now)
        if message is not None:
            say_message(message)
    consumer.stop()


def die_at_release():
    """Is gone without a word in the first rebalance that takes something from it: released, and nothing claimed yet."""
    remove, add = BalancedConsumer._remove_partitions, BalancedConsumer._add_partitions
    released = []

    def removing(self, partitions):
        remove(self, partitions)
        released.extend(partitions)

    def adding(self, partitions):
        if released:
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, partitions)

    BalancedConsumer._remove_partitions, BalancedConsumer._add_partitions = removing, adding


def balanced(options):
    """A member of a group in ZooKeeper; its waits are short, so that a round is."""
    if options.get("dies"):
        die_at_release()
    client, topic = topic_of(options)
    consumer = topic.get_balanced_consumer(
        options["group"],
        managed=False,
        zookeeper_connect=options["zooKeeper"],
        zookeeper_connection_timeout_ms=4000,
        rebalance_max_retries=10,
        rebalance_backoff_ms=500,
        auto_offset_reset=OffsetType.EARLIEST,
        auto_commit_enable=True,
        auto_commit_interval_ms=100,
        consumer_timeout_ms=50,
        membership_protocol=RoundRobinProtocol if options.get("roundrobin") else RangeProtocol,
    )
    assigned = []
    while not leaving.is_set():
        message = consumer.consume()
        now = sorted(consumer.partitions)
        if now != assigned:
            assigned = now
            say("assigned", partitions=now)
        if message is not None:
            say("record", partition=message.partition_id, offset=message.offset)
    consumer.stop()


def metadata(options):
    client, topic = topic_of(options)
    say(
        "metadata",
        brokers=[f"{broker.host.decode()}:{broker.port}" for broker in client.brokers.values()],
        partitions=[{"partition": p.id, "leader": p.leader.id} for p in topic.partitions.values()],
    )


main({"produce": produce, "consume": consume, "committed": committed, "member": member, "balanced": balanced, "metadata": metadata})
