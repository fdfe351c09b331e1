// Record batches and message sets as Java writes and reads them, for the tests of src/protocol/records and Partitioner.
//
// Write:  generate-records.sh gives records.jsonl.gz, with kafka-clients 4.4.0
//   a line a batch: {name, hex, batches, error, read}, where `read` is what Java itself reads from these bytes;
//   then vectors of murmur2: {murmur2, hash, partitionOf7}
// Read:   java -cp "jars/*" Records.java --read < lines of "name hex"
//   the same lines, of bytes that others wrote
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.*;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.common.utils.internals.BufferSupplier;

public class Records {
  static final long T = 1700000000000L;
  /** Beyond this many records, a digest of them stands in their place. */
  static final int FEW = 20;

  static byte[] b(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

  static String hex(ByteBuffer x) {
    if (x == null) return "null";
    byte[] r = new byte[x.remaining()];
    x.duplicate().get(r);
    return "\"" + HexFormat.of().formatHex(r) + "\"";
  }

  static String text(String s) {
    return "\"" + s.replace("\\", "\\\\").replace("\"", "'").replace("\n", " ") + "\"";
  }

  static String describe(org.apache.kafka.common.record.internal.Record r) {
    StringJoiner headers = new StringJoiner(",", "[", "]");
    for (Header x : r.headers()) headers.add("[\"" + x.key() + "\"," + (x.value() == null ? "null" : hex(ByteBuffer.wrap(x.value()))) + "]");
    return "{\"offset\":" + r.offset() + ",\"timestamp\":" + r.timestamp() + ",\"sequence\":" + r.sequence()
      + ",\"key\":" + hex(r.key()) + ",\"value\":" + hex(r.value()) + ",\"headers\":" + headers + "}";
  }

  static void emit(PrintStream out, String name, ByteBuffer buf) {
    StringJoiner read = new StringJoiner(",", "[", "]");
    String error = "null";
    int batches = 0;
    try {
      for (MutableRecordBatch rb : MemoryRecords.readableRecords(buf.duplicate()).batches()) {
        rb.ensureValid();
        batches++;
        List<String> records = new ArrayList<>();
        for (var r : rb) records.add(describe(r));
        if (records.size() <= FEW) for (String r : records) read.add(r);
        else {
          MessageDigest digest = MessageDigest.getInstance("SHA-256");
          for (String r : records) digest.update(b(r + "\n"));
          read.add("{\"digest\":\"" + HexFormat.of().formatHex(digest.digest()) + "\",\"count\":" + records.size() + "}");
        }
        read.add("{\"batch\":{\"magic\":" + rb.magic() + ",\"base\":" + rb.baseOffset() + ",\"last\":" + rb.lastOffset() + ",\"ts\":\"" + rb.timestampType()
          + "\",\"maxTs\":" + rb.maxTimestamp() + ",\"compression\":\"" + rb.compressionType() + "\",\"pid\":" + rb.producerId() + ",\"epoch\":" + rb.producerEpoch()
          + ",\"seq\":" + rb.baseSequence() + ",\"txn\":" + rb.isTransactional() + ",\"control\":" + rb.isControlBatch() + ",\"leaderEpoch\":" + rb.partitionLeaderEpoch()
          + ",\"deleteHorizon\":" + (rb.deleteHorizonMs().isPresent() ? rb.deleteHorizonMs().getAsLong() : "null") + ",\"size\":" + rb.sizeInBytes() + "}}");
      }
    } catch (Throwable e) {
      error = text(e.toString());
    }
    out.println("{\"name\":\"" + name + "\",\"hex\":" + hex(buf) + ",\"batches\":" + batches + ",\"error\":" + error + ",\"read\":" + read + "}");
  }

  interface Make { ByteBuffer get() throws Exception; }

  static void make(PrintStream out, String name, Make m) {
    try {
      emit(out, name, m.get());
    } catch (Throwable e) {
      out.println("{\"name\":\"" + name + "\",\"cannotWrite\":" + text(e.toString()) + "}");
    }
  }

  static MemoryRecordsBuilder builder(int magic, Compression c, TimestampType tt, long base) {
    return MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) magic, c, tt, base, tt == TimestampType.LOG_APPEND_TIME ? T + 99 : -1L);
  }

  static ByteBuffer batch(int magic, Compression c, TimestampType tt, long base) {
    MemoryRecordsBuilder mb = builder(magic, c, tt, base);
    Header[] hs = magic == 2 ? new Header[] {new RecordHeader("h1", b("x")), new RecordHeader("h1", null), new RecordHeader("é", new byte[0])} : new Header[0];
    long ts = magic == 0 ? -1 : T;
    mb.appendWithOffset(base, ts, b("key"), b("value-é"), hs);
    mb.appendWithOffset(base + 1, magic == 0 ? -1 : ts + 5, null, b("null key"), hs);
    mb.appendWithOffset(base + 3, magic == 0 ? -1 : ts - 7, b("null value, gap before"), null, hs);
    mb.appendWithOffset(base + 4, magic == 0 ? -1 : ts + 300, b(""), b("abc".repeat(100)), hs);
    return mb.build().buffer();
  }

  static final String[] WORDS = "order customer amount total".split(" ");

  /** Several blocks of every codec, some noise among them. */
  static ByteBuffer large(int magic, Compression c) {
    Random random = new Random(7);
    MemoryRecordsBuilder mb = builder(magic, c, magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, 5);
    for (int i = 0; i < 150; i++) {
      byte[] value;
      if (i % 30 == 0) random.nextBytes(value = new byte[700]);
      else value = b((WORDS[random.nextInt(4)] + WORDS[random.nextInt(4)]).repeat(60));
      mb.appendWithOffset(5 + i, magic == 0 ? -1 : T + i, b("k" + i), value);
    }
    return mb.build().buffer();
  }

  static ByteBuffer join(ByteBuffer... parts) {
    ByteBuffer x = ByteBuffer.allocate(1 << 16);
    for (ByteBuffer p : parts) x.put(p.duplicate());
    x.flip();
    return x;
  }

  static ByteBuffer cut(ByteBuffer x, int bytes) {
    x.limit(x.limit() - bytes);
    return x;
  }

  /** What log compaction leaves of a batch when it keeps these offsets. */
  static ByteBuffer compacted(ByteBuffer in, boolean keepEmpty, Long... offsets) {
    Set<Long> kept = Set.of(offsets);
    ByteBuffer out = ByteBuffer.allocate(1 << 16);
    MemoryRecords.readableRecords(in).filterTo(new MemoryRecords.RecordFilter(0, 0) {
      @Override protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
        return new BatchRetentionResult(keepEmpty ? BatchRetention.RETAIN_EMPTY : BatchRetention.DELETE_EMPTY, false);
      }
      @Override protected boolean shouldRetainRecord(RecordBatch batch, org.apache.kafka.common.record.internal.Record record) {
        return kept.contains(record.offset());
      }
    }, out, BufferSupplier.NO_CACHING, 1 << 16);
    out.flip();
    return out;
  }

  static void write(PrintStream out) throws Exception {
    Map<String, Compression> cs = new LinkedHashMap<>();
    cs.put("none", Compression.NONE);
    cs.put("gzip", Compression.gzip().build());
    cs.put("snappy", Compression.snappy().build());
    cs.put("lz4", Compression.lz4().build());
    cs.put("zstd", Compression.zstd().build());
    for (int magic = 0; magic <= 2; magic++) {
      int m = magic;
      for (var c : cs.entrySet()) {
        for (TimestampType tt : TimestampType.values()) {
          if (tt == TimestampType.NO_TIMESTAMP_TYPE ? magic != 0 : magic == 0) continue;
          make(out, "v" + m + "-" + c.getKey() + "-" + tt, () -> batch(m, c.getValue(), tt, 1000));
        }
        if (magic < 2 && c.getKey().equals("zstd")) continue;
        if (!c.getKey().equals("none")) make(out, "v" + m + "-" + c.getKey() + "-large", () -> large(m, c.getValue()));
        TimestampType tt = magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME;
        make(out, "v" + m + "-" + c.getKey() + "-compacted", () -> compacted(batch(m, c.getValue(), tt, 1000), false, 1001L, 1003L));
        make(out, "v" + m + "-" + c.getKey() + "-truncated", () -> join(batch(m, c.getValue(), tt, 1000), cut(batch(m, c.getValue(), tt, 2000), 9)));
      }
      make(out, "v" + m + "-cut-in-the-prefix", () -> join(batch(m, Compression.NONE, m == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, 1000), ByteBuffer.wrap(new byte[7])));
    }
    SimpleRecord one = new SimpleRecord(T, b("k"), b("v"));
    make(out, "mixed-magics", () -> join(
      batch(0, Compression.NONE, TimestampType.NO_TIMESTAMP_TYPE, 10), batch(0, cs.get("lz4"), TimestampType.NO_TIMESTAMP_TYPE, 20),
      batch(1, cs.get("gzip"), TimestampType.CREATE_TIME, 30), batch(1, Compression.NONE, TimestampType.LOG_APPEND_TIME, 40),
      batch(1, Compression.NONE, TimestampType.CREATE_TIME, 50), batch(2, cs.get("zstd"), TimestampType.CREATE_TIME, 60)));
    for (int level : new int[] {1, 9}) make(out, "v2-gzip-level-" + level, () -> batch(2, Compression.gzip().level(level).build(), TimestampType.CREATE_TIME, 0));
    for (int level : new int[] {1, 17}) make(out, "v2-lz4-level-" + level, () -> large(2, Compression.lz4().level(level).build()));
    make(out, "plain-one", () -> MemoryRecords.withRecords(Compression.NONE, one).buffer());
    make(out, "idempotent", () -> MemoryRecords.withIdempotentRecords(Compression.NONE, 4242L, (short) 3, 17, one, one).buffer());
    make(out, "transactional", () -> MemoryRecords.withTransactionalRecords((byte) 2, 50L, Compression.NONE, 4242L, (short) 3, 17, 9, one).buffer());
    make(out, "sequence-wraps", () -> MemoryRecords.withIdempotentRecords(Compression.NONE, 1L, (short) 0, Integer.MAX_VALUE, one, one).buffer());
    make(out, "large-numbers", () -> MemoryRecords.withTransactionalRecords((byte) 2, (1L << 53) - 2, Compression.NONE, (1L << 53) - 1, Short.MAX_VALUE, 1, Integer.MAX_VALUE, one, one).buffer());
    make(out, "commit", () -> MemoryRecords.withEndTransactionMarker(60L, T, 9, 4242L, (short) 3, new EndTransactionMarker(ControlRecordType.COMMIT, 7)).buffer());
    make(out, "abort", () -> MemoryRecords.withEndTransactionMarker(61L, T, 9, 4242L, (short) 3, new EndTransactionMarker(ControlRecordType.ABORT, 7)).buffer());
    make(out, "leader-change", () -> MemoryRecords.withLeaderChangeMessage(70L, T, 9, ByteBuffer.allocate(512), new LeaderChangeMessage().setLeaderId(1).setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))).buffer());
    make(out, "snapshot-header", () -> MemoryRecords.withSnapshotHeaderRecord(71L, T, 9, ByteBuffer.allocate(512), new SnapshotHeaderRecord().setLastContainedLogTimestamp(T)).buffer());
    make(out, "snapshot-footer", () -> MemoryRecords.withSnapshotFooterRecord(72L, T, 9, ByteBuffer.allocate(512), new SnapshotFooterRecord()).buffer());
    make(out, "kraft-version", () -> MemoryRecords.withKRaftVersionRecord(73L, T, 9, ByteBuffer.allocate(512), new KRaftVersionRecord().setKRaftVersion((short) 1)).buffer());
    make(out, "kraft-voters", () -> MemoryRecords.withVotersRecord(74L, T, 9, ByteBuffer.allocate(512), new VotersRecord()).buffer());
    make(out, "two-batches", () -> join(MemoryRecords.withRecords(5L, Compression.NONE, 1, one).buffer(), MemoryRecords.withRecords(6L, cs.get("gzip"), 1, one).buffer()));
    make(out, "truncated-tail", () -> join(MemoryRecords.withRecords(5L, Compression.NONE, 1, one).buffer(), cut(MemoryRecords.withRecords(6L, Compression.NONE, 1, one).buffer(), 9)));
    make(out, "empty-batch", () -> { ByteBuffer x = ByteBuffer.allocate(61); DefaultRecordBatch.writeEmptyHeader(x, (byte) 2, 1L, (short) 2, 3, 10L, 14L, 5, TimestampType.CREATE_TIME, T, true, false); x.flip(); return x; });
    make(out, "emptied-by-compaction", () -> join(compacted(MemoryRecords.withIdempotentRecords(cs.get("zstd"), 4242L, (short) 3, 17, one, one).buffer(), true), MemoryRecords.withRecords(2L, Compression.NONE, 1, one).buffer()));
    make(out, "delete-horizon", () -> { // this constructor takes a ByteBufferOutputStream, whose package moved in 4.4
      for (var c : MemoryRecordsBuilder.class.getConstructors()) if (c.getParameterCount() == 14) {
        var s = c.getParameterTypes()[0].getConstructor(int.class).newInstance(256);
        var mb = (MemoryRecordsBuilder) c.newInstance(s, (byte) 2, Compression.NONE, TimestampType.CREATE_TIME, 0L, -1L, -1L, (short) -1, -1, false, false, -1, 256, T + 1000);
        mb.append(T, b("k"), null, new Header[0]);
        return mb.build().buffer();
      }
      throw new IllegalStateException();
    });
    make(out, "every-varint-size", () -> {
      MemoryRecordsBuilder mb = builder(2, cs.get("zstd"), TimestampType.CREATE_TIME, 0);
      long[] times = {0, 63, 64, -64, -65, 8191, 8192, 1048575, 1048576, 134217727, 134217728, -134217729, Integer.MAX_VALUE, Integer.MIN_VALUE, 1L << 33, -(1L << 40), (1L << 52) - 1};
      int offset = 0;
      for (long t : times) mb.appendWithOffset(offset = offset * 3 + 1, (1L << 42) + t, b("k".repeat(Math.min(offset, 9000))), b("v".repeat(Math.min(offset, 20000))), new Header[] {new RecordHeader("h".repeat(Math.min(offset, 300)), b("w".repeat(Math.min(offset, 300))))});
      return mb.build().buffer();
    });
    make(out, "many-headers", () -> {
      MemoryRecordsBuilder mb = builder(2, Compression.NONE, TimestampType.CREATE_TIME, 0);
      Header[] hs = new Header[130];
      for (int i = 0; i < hs.length; i++) hs[i] = new RecordHeader(i % 3 == 0 ? "" : "日本-" + i, i % 2 == 0 ? null : b("w" + i));
      mb.append(T, (byte[]) null, null, hs);
      return mb.build().buffer();
    });
    List<byte[]> keys = new ArrayList<>();
    for (String s : new String[] {"", "a", "ab", "abc", "abcd", "21", "foobar", "a-little-bit-long-string", "a-little-bit-longer-string", "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", "é日本\uD83D\uDE00"}) keys.add(b(s));
    Random random = new Random(11);
    for (int n = 0; n <= 40; n++) for (int k = 0; k < 5; k++) { byte[] x = new byte[n]; random.nextBytes(x); keys.add(x); }
    for (byte[] k : keys)
      out.println("{\"murmur2\":\"" + HexFormat.of().formatHex(k) + "\",\"hash\":" + Utils.murmur2(k) + ",\"partitionOf7\":" + BuiltInPartitioner.partitionForKey(k, 7) + "}");
  }

  public static void main(String[] a) throws Exception {
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    if (a.length > 0 && a[0].equals("--read")) {
      BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] parts = line.split(" ");
        emit(out, parts[0], ByteBuffer.wrap(HexFormat.of().parseHex(parts[1])));
      }
    } else write(out);
    out.flush();
  }
}
