"""What the programs of this folder have in common: `python PROGRAM VERB OPTIONS`, lines of JSON as output, bytes in base64."""

import base64
import json
import signal
import sys
import threading

#: Set by SIGTERM: a member is to commit, leave and end.
leaving = threading.Event()


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def say(event, **more):
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


def say_record(partition, offset, timestamp, key, value, headers=()):
    say(
        "record",
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        key=encode(key),
        value=encode(value),
        headers=[[name, encode(data)] for name, data in headers],
    )


class Record:
    def __init__(self, wire):
        self.partition = wire["partition"]
        self.timestamp = wire["timestamp"]
        self.key = decode(wire["key"])
        self.value = decode(wire["value"])
        self.headers = [(name, decode(data)) for name, data in wire["headers"]]


def records(options):
    with open(options["records"]) as file:
        return [Record(wire) for wire in json.load(file)]


def main(verbs):
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    verbs[sys.argv[1]](json.loads(sys.argv[2]))
    say("done")
