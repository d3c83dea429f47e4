"""A worker without our code: trains on any number of psrun's servers with Python's grpcio (docs/wire.md).

    ps-server --shard 0 --listen 127.0.0.1:2223 &
    ps-server --shard 1 --listen 127.0.0.1:2224 &
    python3 async_client.py 127.0.0.1:2223 127.0.0.1:2224
    psrun local --instances 3 -- python3 async_client.py     # or as the program of a job
"""

import array
import os
import random
import sys
import time
import zlib

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PROTOCOL, F32, TRAINABLE, MESSAGE_BYTES = 3, 1, 1, 1 << 20


def grid(elements, servers, chunk=None):
    """Elements of a chunk, and the first chunk of each shard and of the one after the last."""
    chunk = chunk or max(64, min(65520, elements // (20 * max(servers, 8))))
    firsts = []
    for shard in range(servers + 1):
        even = elements * shard // servers
        before = even // chunk
        start, end = before * chunk, min((before + 1) * chunk, elements)
        firsts.append(before + (abs(end - even) < even - start))
    return chunk, firsts


class Servers:
    """The weights of all servers as one flat array; each step pushes once to every server."""

    def __init__(self, addresses, job="default", worker=0, incarnation=None, epoch=0):
        self.channels = [grpc.insecure_channel(it, [("grpc.max_receive_message_length", 5 << 20)]) for it in addresses]
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channels[0]))
        self.job, self.epoch = dict(job=job, protocol=PROTOCOL), epoch
        # Larger in every later run of this worker: what an earlier one had under way is refused then.
        self.me = dict(worker=worker, incarnation=incarnation or int(time.time() * 1000))
        self.seq, self.clock, self.versions = 0, 0, {}
        described = lambda channel: self.call(channel, "Describe", self.message("DescribeRequest", **self.job))
        self.channels.sort(key=lambda channel: described(channel).shard)
        self.held = described(self.channels[0]).model

    def message(self, kind, /, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"ps.v1.{kind}"))(**fields)

    def call(self, channel, name, requests):
        method = self.pool.FindServiceByName("ps.v1.DataPlane").FindMethodByName(name)
        shape = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        reply = message_factory.GetMessageClass(method.output_type)
        stub = getattr(channel, shape)(f"/ps.v1.DataPlane/{name}", lambda it: it.SerializeToString(), reply.FromString)
        answer = stub(requests, timeout=60)
        return list(answer) if method.server_streaming else answer

    def start(self, tensors, values, optimizer="sgd", bound=8):
        """Creates the model, {name: shape} in the order of the names, or takes the one that the servers hold."""
        self.elements = len(values)
        self.chunk, self.firsts = grid(self.elements, len(self.channels), self.held.chunk_elements or None)
        tensors = [self.message("Tensor", name=n, shape=tensors[n], kind=TRAINABLE) for n in sorted(tensors)]
        model = self.message("ModelSpec", tensors=tensors, optimizer=self.message("Optimizer", name=optimizer),
                             correction=2, staleness_bound=bound, shards=len(self.channels), chunk_elements=self.chunk)
        for shard, channel in enumerate(self.channels):
            chunks = [c for message in self.chunks(shard, values) for c in message]
            header = self.message("InitHeader", shard=shard, epoch=self.epoch, model=model, any_start=True, **self.me, **self.job,
                                  start_digest=zlib.crc32(b"".join(c.values for c in chunks)))
            messages = [self.message("InitMessage", header=header)]
            messages += [self.message("InitMessage", chunks=part) for part in self.chunks(shard, values)]
            while self.call(channel, "Init", iter(messages))[-1].state == 3:
                pass  # Another worker began and gave up.

    def chunks(self, shard, values):
        """A shard's chunks as payloads, in messages of about 1 MiB."""
        per_message = max(1, MESSAGE_BYTES // (4 * self.chunk))
        numbers = range(self.firsts[shard], self.firsts[shard + 1])
        payload = lambda i: self.message("ChunkPayload", index=i, pulled_version=self.versions.get(i, 0),
                                         values=values[i * self.chunk : (i + 1) * self.chunk].tobytes())
        return [[payload(i) for i in numbers[at : at + per_message]] for at in range(0, len(numbers), per_message)]

    def pull(self):
        """The weights for the next step: waits while this worker is too far ahead of the others."""
        weights = array.array("f", bytes(4 * self.elements))
        for shard, channel in enumerate(self.channels):
            puller = self.message("Puller", clock=self.clock, finished_clock=self.clock, **self.me)
            request = self.message("PullRequest", shard=shard, epoch=self.epoch, puller=puller, encoding=F32, **self.job)
            for message in self.call(channel, "Pull", request):
                self.clock = max(self.clock, message.header.clock)
                for run in message.chunks:
                    weights[run.index * self.chunk : run.index * self.chunk + len(run.values) // 4] = array.array("f", run.values)
                    self.versions.update({run.index + i: run.version for i in range(max(run.chunks, 1))})
        return weights

    def push(self, gradient, learning_rate, loss=0.0):
        """Ends a step: applied exactly once on every server. Sent again after an error, it keeps its number."""
        for shard, channel in enumerate(self.channels):
            parts = self.chunks(shard, gradient) or [[]]
            header = self.message("PushHeader", shard=shard, epoch=self.epoch, clock=self.clock, learning_rate=learning_rate, loss=loss,
                                  id=self.message("PushId", seq=self.seq, **self.me), oldest_unacknowledged_seq=self.seq,
                                  kind=TRAINABLE, encoding=F32, chunks_total=sum(map(len, parts)), **self.job)
            first = self.message("PushMessage", header=header, chunks=parts[0])
            self.call(channel, "Push", iter([first, *[self.message("PushMessage", chunks=part) for part in parts[1:]]]))
        self.seq, self.clock = self.seq + 1, self.clock + 1

    def leave(self):
        """Nobody waits for this worker any more."""
        for shard, channel in enumerate(self.channels):
            self.call(channel, "Alive", self.message("AliveRequest", shard=shard, leaving=True, **self.me, **self.job))


def main():
    told = os.environ.get("PS_SERVER_ADDRESSES")  # As the program of a job.
    servers = Servers(
        told.split(",") if told else sys.argv[1:],
        job=os.environ.get("PS_JOB_ID", "default"),
        worker=int(os.environ.get("PS_WORKER_INDEX", 0)),
        incarnation=int(os.environ.get("PS_INCARNATION", 0)) or None,
        epoch=int(os.environ.get("PS_EPOCH", 0)),
    )
    # y = 3 x0 - 2 x1 + .. : least squares on samples that each worker takes its part of.
    inputs, workers = 1000, int(os.environ.get("PS_WORKERS", 1))
    truth = [((i * 37) % 11 - 5) / 5 for i in range(inputs)]
    servers.start({"weight": [inputs]}, array.array("f", bytes(4 * inputs)))
    for step in range(servers.me["worker"], 400, workers):
        weights = servers.pull()
        ones = random.Random(step).sample(range(inputs), 50)
        error = sum(weights[i] - truth[i] for i in ones) / len(ones)
        gradient = array.array("f", bytes(4 * inputs))
        for i in ones:
            gradient[i] = weights[i] - truth[i]
        servers.push(gradient, learning_rate=0.5, loss=error * error)
    weights = servers.pull()
    servers.leave()
    distance = sum((w - t) ** 2 for w, t in zip(weights, truth)) / inputs
    print(f"distance={distance:.6f};", flush=True)


if __name__ == "__main__":
    main()
