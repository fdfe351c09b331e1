// franz-go as a foreign client: `client VERB OPTIONS`, lines of JSON as output, bytes in base64.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	Bootstrap  string
	Topic      string
	Group      string
	Codec      string
	Idempotent bool
	Records    string
	Timestamp  int64
	Strategy   string
	// of a copy
	Target          string
	TransactionalID string
	Count           int
	Size            int
	// read what is committed alone
	Committed bool
}

type header [2]any

type record struct {
	Event     string   `json:"event"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp *int64   `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

type partition struct {
	Partition int32 `json:"partition"`
	Leader    int32 `json:"leader"`
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(value any) {
	line, err := json.Marshal(value)
	check(err)
	fmt.Println(string(line))
}

func sayRecord(r *kgo.Record) {
	millis := r.Timestamp.UnixMilli()
	headers := make([]header, 0, len(r.Headers))
	for _, h := range r.Headers {
		headers = append(headers, header{h.Key, h.Value})
	}
	say(record{"record", r.Partition, r.Offset, &millis, r.Key, r.Value, headers})
}

func client(o options, more ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(o.Bootstrap, ",")...),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}, more...)...)
	check(err)
	return c
}

func produce(ctx context.Context, o options) {
	more := []kgo.Opt{
		kgo.ProducerBatchCompression(codecs[o.Codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(50 * time.Millisecond),
		kgo.AllowAutoTopicCreation(),
	}
	if !o.Idempotent {
		more = append(more, kgo.DisableIdempotentWrite())
	}
	c := client(o, more...)
	defer c.Close()
	text, err := os.ReadFile(o.Records)
	check(err)
	var sent []struct {
		record
		Headers [][2]*string `json:"headers"`
	}
	check(json.Unmarshal(text, &sent))
	records := make([]*kgo.Record, 0, len(sent))
	for _, s := range sent {
		r := &kgo.Record{Topic: o.Topic, Partition: s.Partition, Key: s.Key, Value: s.Value}
		if s.Timestamp != nil {
			r.Timestamp = time.UnixMilli(*s.Timestamp)
		}
		for _, h := range s.Headers {
			var value []byte
			if h[1] != nil {
				check(json.Unmarshal([]byte(`"`+*h[1]+`"`), &value))
			}
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: *h[0], Value: value})
		}
		records = append(records, r)
	}
	check(c.ProduceSync(ctx, records...).FirstErr())
}

func consume(ctx context.Context, o options) {
	c := client(o)
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, o.Topic)
	check(err)
	check(ends.Error())
	c.Close()
	last := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			last[end.Partition] = end.Offset - 1
		}
	})
	more := []kgo.Opt{kgo.ConsumeTopics(o.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	if o.Committed {
		more = append(more, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	}
	c = client(o, more...)
	defer c.Close()
	for len(last) > 0 {
		fetches := c.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				sayRecord(r)
			}
			if r.Offset == last[r.Partition] {
				delete(last, r.Partition)
			}
		})
	}
}

func member(ctx context.Context, o options) {
	held := map[int32]bool{}
	changed := func(holds bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			for _, p := range topics[o.Topic] {
				if holds {
					held[p] = true
				} else {
					delete(held, p)
				}
			}
			all := []int32{}
			for p := range held {
				all = append(all, p)
			}
			sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
			say(map[string]any{"event": "assigned", "partitions": all})
		}
	}
	balancer := kgo.CooperativeStickyBalancer()
	if o.Strategy == "range" {
		balancer = kgo.RangeBalancer()
	}
	c := client(o,
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumerGroup(o.Group),
		kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(changed(true)),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, topics map[string][]int32) {
			check(c.CommitMarkedOffsets(ctx))
			changed(false)(ctx, c, topics)
		}),
		kgo.OnPartitionsLost(changed(false)),
	)
	for {
		fetches := c.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			sayRecord(r)
			c.MarkCommitRecords(r)
		})
		c.AllowRebalance()
		if ctx.Err() != nil {
			break
		}
	}
	check(c.CommitMarkedOffsets(context.Background()))
	c.Close()
}

// Copies a topic in transactions, and aborts some of them.
func copyAll(ctx context.Context, o options) {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(o.Bootstrap, ",")...),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
		kgo.TransactionalID(o.TransactionalID),
		kgo.TransactionTimeout(20*time.Second),
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	check(err)
	for done, round := 0, 0; done < o.Count; round++ {
		fetches := session.PollRecords(ctx, o.Size)
		check(fetches.Err())
		check(session.Begin())
		copied := 0
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: o.Target, Partition: r.Partition, Key: r.Key, Value: r.Value}, nil)
			copied++
		})
		check(session.Client().Flush(ctx))
		committed, err := session.End(ctx, kgo.TransactionEndTry(round%3 != 1))
		check(err)
		if committed {
			done += copied
		}
	}
	session.Close()
}

func metadata(ctx context.Context, o options) {
	c := client(o)
	defer c.Close()
	found, err := kadm.NewClient(c).Metadata(ctx, o.Topic)
	check(err)
	brokers := []string{}
	for _, b := range found.Brokers {
		brokers = append(brokers, fmt.Sprintf("%s:%d", b.Host, b.Port))
	}
	partitions := []partition{}
	for _, p := range found.Topics[o.Topic].Partitions.Sorted() {
		partitions = append(partitions, partition{p.Partition, p.Leader})
	}
	say(map[string]any{"event": "metadata", "brokers": brokers, "partitions": partitions})
}

func offsets(ctx context.Context, o options) {
	c := client(o)
	defer c.Close()
	found, err := kadm.NewClient(c).ListOffsetsAfterMilli(ctx, o.Timestamp, o.Topic)
	check(err)
	check(found.Error())
	all := make([]int64, len(found[o.Topic]))
	found.Each(func(at kadm.ListedOffset) { all[at.Partition] = at.Offset })
	say(map[string]any{"event": "offsets", "offsets": all})
}

func admin(ctx context.Context, o options) {
	c := client(o)
	defer c.Close()
	a := kadm.NewClient(c)
	compact := "compact"
	created, err := a.CreateTopic(ctx, 2, 1, map[string]*string{"cleanup.policy": &compact}, o.Topic)
	check(err)
	check(created.Err)
	more, err := a.UpdatePartitions(ctx, 5, o.Topic)
	check(err)
	check(more.Error())
	topics, err := a.ListTopics(ctx, o.Topic)
	check(err)
	configs, err := a.DescribeTopicConfigs(ctx, o.Topic)
	check(err)
	config, err := configs.On(o.Topic, nil)
	check(err)
	policy := ""
	for _, each := range config.Configs {
		if each.Key == "cleanup.policy" {
			policy = *each.Value
		}
	}
	groups, err := a.ListGroups(ctx)
	check(err)
	described, err := a.DescribeGroups(ctx, o.Group)
	check(err)
	check(described.Error())
	fetched, err := a.FetchOffsets(ctx, o.Group)
	check(err)
	committed := [][2]int64{}
	for _, each := range fetched.Sorted() {
		committed = append(committed, [2]int64{int64(each.Partition), each.At})
	}
	cluster, err := a.BrokerMetadata(ctx)
	check(err)
	say(map[string]any{
		"event":      "admin",
		"partitions": len(topics[o.Topic].Partitions),
		"policy":     policy,
		"groups":     groups.Groups(),
		"members":    len(described[o.Group].Members),
		"committed":  committed,
		"cluster":    cluster.Cluster,
		"brokers":    len(cluster.Brokers),
	})
	deleted, err := a.DeleteTopic(ctx, o.Topic)
	check(err)
	check(deleted.Err)
	gone, err := a.DeleteGroup(ctx, o.Group)
	check(err)
	check(gone.Err)
}

func main() {
	var o options
	check(json.Unmarshal([]byte(os.Args[2]), &o))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	verbs := map[string]func(context.Context, options){
		"produce": produce, "consume": consume, "member": member,
		"copy": copyAll, "metadata": metadata, "offsets": offsets, "admin": admin,
	}
	verbs[os.Args[1]](ctx, o)
	say(map[string]any{"event": "done"})
}
