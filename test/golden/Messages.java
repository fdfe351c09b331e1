// Golden bytes of Kafka's messages, written by the Java client itself: one JSON object a line, see README.md.
// Run by generate.sh. One source for kafka-clients 3.9 and 4.4: driven by the JSON definitions inside the jar, it writes
// by reflection over the generated *Data classes, because classes moved between the two.
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.jar.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.RawTaggedField;

public class Messages {
  static final ObjectMapper JSON = JsonMapper.builder()
      .enable(JsonReadFeature.ALLOW_JAVA_COMMENTS).enable(JsonReadFeature.ALLOW_TRAILING_COMMA).build();
  static final TreeMap<String, Integer> counts = new TreeMap<>();
  static PrintStream out;

  /** What is filled in. REJECT and IGNORED are ONE with one field more, which the version lacks. */
  enum Mode { DEFAULT, EMPTY, ONE, TWO, NULLS, NULLS_DEEP, UNKNOWN_TAGS, HUGE, REJECT, IGNORED }

  /** The APIs of clients, admins and test brokers, and the messages outside of APIs. */
  static boolean wanted(String name, int key) {
    if (key < 0) return name.matches("(Request|Response)Header|ConsumerProtocol(Subscription|Assignment)");
    return key <= 3 || key >= 8 && key <= 51
        || Set.of(55, 57, 60, 61, 64, 65, 66, 68, 69, 71, 72).contains(key)
        || key >= 74 && key <= 81 || key >= 88 && key <= 94;
  }

  static void count(String what) { counts.merge(what, 1, Integer::sum); }

  static String text(JsonNode node, String key) { return node.hasNonNull(key) ? node.get(key).asText() : null; }

  /** Whether a range of versions ("none", "3", "1+", "0-4") holds a version. */
  static boolean in(String range, int version) {
    if (range == null || range.equals("none")) return false;
    if (range.endsWith("+")) return version >= Integer.parseInt(range.substring(0, range.length() - 1));
    int dash = range.indexOf('-');
    if (dash < 0) return version == Integer.parseInt(range);
    return version >= Integer.parseInt(range.substring(0, dash)) && version <= Integer.parseInt(range.substring(dash + 1));
  }

  // One v2 batch: CreateTime 1700000000000, key "k", value "v". The message codec does not look inside.
  static final byte[] RECORDS = HexFormat.of().parseHex(
      "00000000000000000000003affffffff02e99b8dd80000000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff"
          + "0000000110000000026b027600");

  /** Fills a message with values that differ from field to field, and from the defaults. */
  static class Filler {
    final JsonNode definition;
    final Class<?> dataClass;
    final Mode mode;
    final boolean flexible;
    /** The field that the version lacks and that is set all the same. */
    final String lacking;
    final Map<String, JsonNode> structs = new HashMap<>();
    short version;
    boolean reached = false;
    boolean huge = false;
    int n = 0;

    Filler(JsonNode definition, Class<?> dataClass, short version, Mode mode, String lacking) {
      this.definition = definition;
      this.dataClass = dataClass;
      this.version = version;
      this.mode = mode;
      this.lacking = lacking;
      this.flexible = in(text(definition, "flexibleVersions"), version);
      for (JsonNode struct : definition.path("commonStructs")) {
        structs.put(text(struct, "name"), struct.get("fields"));
        collect(struct.get("fields"));
      }
      collect(definition.get("fields"));
    }

    void collect(JsonNode fields) {
      for (JsonNode field : fields)
        if (field.has("fields")) {
          structs.put(text(field, "type").replace("[]", ""), field.get("fields"));
          collect(field.get("fields"));
        }
    }

    void fill(Object target, JsonNode fields, String path) throws Exception {
      if (mode == Mode.DEFAULT) return;
      for (JsonNode field : fields) {
        String at = path + text(field, "name");
        if (in(text(field, "versions"), version)) set(target, field, at, false);
        else if (at.equals(lacking)) {
          reached = true;
          short real = version;
          version = Short.MAX_VALUE; // as the newest version would fill it
          set(target, field, at, true);
          version = real;
        }
      }
      if (mode == Mode.UNKNOWN_TAGS && flexible && target instanceof Message message) {
        message.unknownTaggedFields().add(new RawTaggedField(1000 + n, ("tag-" + n).getBytes(StandardCharsets.UTF_8)));
        message.unknownTaggedFields().add(new RawTaggedField(100000 + n, new byte[0]));
      }
    }

    void set(Object target, JsonNode field, String path, boolean force) throws Exception {
      String name = text(field, "name"), type = text(field, "type");
      Method setter = Arrays.stream(target.getClass().getMethods())
          .filter(m -> m.getName().equals("set" + Character.toUpperCase(name.charAt(0)) + name.substring(1)))
          .filter(m -> m.getParameterCount() == 1).findFirst().orElseThrow();
      Class<?> expected = setter.getParameterTypes()[0];
      boolean array = type.startsWith("[]"), struct = structs.containsKey(type);
      boolean nullable = in(text(field, "nullableVersions"), version) && !force;
      if (nullable && (mode == Mode.NULLS || mode == Mode.NULLS_DEEP && !array && !struct)) {
        setter.invoke(target, (Object) null);
        return;
      }
      Object value;
      if (array) {
        int size = mode == Mode.EMPTY && !force ? 0 : mode == Mode.TWO ? 2 : 1;
        String element = type.substring(2);
        Class<?> box = element.equals("bytes") ? byte[].class : Object.class;
        Collection<Object> list =
            List.class.isAssignableFrom(expected) ? new ArrayList<>() : cast(expected.getDeclaredConstructor().newInstance());
        for (int i = 0; i < size; i++)
          list.add(structs.containsKey(element) ? struct(element, path) : scalar(element, box, null));
        value = list;
      } else if (struct) value = struct(type, path);
      else {
        String getter = Character.toLowerCase(name.charAt(0)) + name.substring(1);
        value = scalar(type, expected, target.getClass().getMethod(getter).invoke(target));
      }
      setter.invoke(target, value);
    }

    @SuppressWarnings("unchecked") static Collection<Object> cast(Object collection) { return (Collection<Object>) collection; }

    Object struct(String type, String path) throws Exception {
      Object struct = Class.forName(dataClass.getName() + "$" + type).getDeclaredConstructor().newInstance();
      fill(struct, structs.get(type), path + ".");
      return struct;
    }

    Object scalar(String type, Class<?> expected, Object byDefault) throws Exception {
      boolean empty = mode == Mode.EMPTY;
      while (true) {
        n++;
        int sign = n % 3 == 0 ? -1 : 1;
        Object value = switch (type) {
          case "bool" -> byDefault == null ? (Object) (n % 2 == 0) : (Object) (!(Boolean) byDefault);
          case "int8" -> (byte) (sign * (1 + (n * 7) % 127));
          case "int16" -> (short) (sign * (1 + (n * 257) % 32767));
          case "uint16" -> 65535 - n;
          case "int32" -> sign * (1 + (int) ((n * 16777619L) % 2147483647L));
          case "uint32" -> 4294967295L - n;
          case "int64" -> int64(sign);
          case "float64" -> sign * (n + 0.1);
          case "uuid" -> new Uuid(0x0123456789abcdefL * n, 0xfedcba9876543210L + n);
          case "string" -> empty ? "" : n % 7 == 3 && mode == Mode.TWO ? "lang-é".repeat(30) + n : "é日本\uD83D\uDE00-" + n;
          case "bytes" -> expected == byte[].class ? bytes(empty) : ByteBuffer.wrap(bytes(empty));
          case "records" -> Class.forName(expected.getPackageName() + ".MemoryRecords")
              .getMethod("readableRecords", ByteBuffer.class).invoke(null, ByteBuffer.wrap(empty ? new byte[0] : RECORDS));
          default -> throw new IllegalStateException("type " + type);
        };
        if (byDefault == null || !value.equals(byDefault) || empty) return value;
      }
    }

    /** Within the integers that JavaScript's numbers hold; in HUGE just beyond them. */
    long int64(int sign) {
      huge = true;
      if (mode == Mode.HUGE) return sign * (9007199254740992L + n);
      return sign * (1 + (n * 1099511628211L * 8191) % 9007199254740990L);
    }

    byte[] bytes(boolean empty) {
      byte[] bytes = new byte[empty ? 0 : 3 + n % 5];
      for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (n * 31 + i * 85);
      return bytes;
    }
  }

  /** JSON numbers beyond 2^53 lose digits in JavaScript: those become decimal strings. */
  static JsonNode safe(JsonNode json) {
    if (json instanceof ObjectNode object) object.fieldNames().forEachRemaining(key -> object.set(key, safe(object.get(key))));
    if (json instanceof ArrayNode array) for (int i = 0; i < array.size(); i++) array.set(i, safe(array.get(i)));
    return json instanceof LongNode number && Math.abs(number.longValue()) > 9007199254740991L
        ? new TextNode(number.asText()) : json;
  }

  static ByteBuffer write(Message message, short version) {
    ObjectSerializationCache cache = new ObjectSerializationCache();
    int size = message.size(cache, version);
    ByteBuffer buffer = ByteBuffer.allocate(size);
    message.write(new ByteBufferAccessor(buffer), cache, version);
    if (buffer.hasRemaining()) throw new IllegalStateException("size " + size + " but wrote " + buffer.position());
    buffer.flip();
    return buffer;
  }

  record Subject(String api, int key, String type, JsonNode definition, Class<?> dataClass, ApiVersionsOf info) {}

  static void line(Subject s, short version, Mode mode, String lacking) throws Exception {
    Message message = (Message) s.dataClass.getDeclaredConstructor().newInstance();
    Filler filler = new Filler(s.definition, s.dataClass, version, mode, lacking);
    filler.fill(message, s.definition.get("fields"), "");
    if (mode == Mode.HUGE && !filler.huge || lacking != null && !filler.reached) return;
    ObjectNode line = JSON.createObjectNode();
    line.put("api", s.api);
    if (s.key >= 0) line.put("key", s.key);
    line.put("type", s.type).put("version", version).put("variant", mode.name().toLowerCase());
    if (s.info != null) line.put("headerVersion", s.info.header(s.type, version));
    if (s.info != null && s.info.unstable && version == s.info.highest) line.put("unstable", true);
    if (lacking != null) line.put("field", lacking);
    if (mode == Mode.REJECT) {
      try {
        write(message, version);
        throw new IllegalStateException("accepted: " + s + " " + lacking);
      } catch (org.apache.kafka.common.errors.UnsupportedVersionException expected) {
        count("reject");
        out.println(line);
        return;
      }
    }
    ByteBuffer buffer = write(message, version);
    byte[] raw = new byte[buffer.remaining()];
    buffer.duplicate().get(raw);
    Message back = (Message) s.dataClass.getDeclaredConstructor().newInstance();
    back.read(new ByteBufferAccessor(buffer), version);
    if (buffer.hasRemaining() || mode != Mode.IGNORED && !back.equals(message))
      throw new IllegalStateException("Java does not read back what it wrote: " + line);
    Object json = Class.forName(s.dataClass.getName() + "JsonConverter")
        .getMethod("write", s.dataClass, short.class, boolean.class).invoke(null, message, version, true);
    line.set("json", safe((JsonNode) json));
    line.put("hex", HexFormat.of().formatHex(raw));
    count(mode.name().toLowerCase());
    out.println(line);
  }

  /** The fields that a version lacks, below structs that it has. */
  static void lacking(JsonNode fields, Map<String, JsonNode> structs, int version, String path, Map<String, Boolean> ignorable) {
    for (JsonNode field : fields) {
      String at = path + text(field, "name"), type = text(field, "type").replace("[]", "");
      if (!in(text(field, "versions"), version)) ignorable.put(at, field.path("ignorable").asBoolean(false));
      else if (structs.containsKey(type)) lacking(structs.get(type), structs, version, at + ".", ignorable);
    }
  }

  public static void main(String[] args) throws Exception {
    out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16), false, StandardCharsets.UTF_8);
    String jar = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
        .filter(entry -> entry.matches(".*kafka-clients-[^/]*\\.jar")).findFirst().orElseThrow();
    Map<Integer, ApiVersionsOf> apis = ApiVersionsOf.all();
    int messages = 0, pairs = 0;
    try (JarFile file = new JarFile(jar)) {
      List<JarEntry> entries = new ArrayList<>(Collections.list(file.entries()));
      entries.removeIf(entry -> !entry.getName().matches("common/message/.*\\.json"));
      entries.sort(Comparator.comparing(JarEntry::getName));
      for (JarEntry entry : entries) {
        JsonNode definition = JSON.readTree(file.getInputStream(entry));
        String name = text(definition, "name"), type = text(definition, "type");
        int key = definition.path("apiKey").asInt(-1);
        if (!wanted(name, key) || "none".equals(text(definition, "validVersions"))) continue;
        boolean data = type.equals("request") || type.equals("response") || type.equals("header");
        Class<?> dataClass = Class.forName("org.apache.kafka.common.message." + name + (data ? "Data" : ""));
        short lowest = dataClass.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        short highest = dataClass.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        String api = key >= 0 ? name.replaceAll("(Request|Response)$", "") : name;
        Subject subject = new Subject(api, key, type, definition, dataClass, key >= 0 ? apis.get(key) : null);
        messages++;
        for (short version = lowest; version <= highest; version++) {
          pairs++;
          for (Mode mode : EnumSet.range(Mode.DEFAULT, Mode.HUGE))
            if (mode != Mode.UNKNOWN_TAGS || in(text(definition, "flexibleVersions"), version)) line(subject, version, mode, null);
          Map<String, Boolean> ignorable = new LinkedHashMap<>();
          Map<String, JsonNode> structs = new Filler(definition, dataClass, version, Mode.ONE, null).structs;
          lacking(definition.get("fields"), structs, version, "", ignorable);
          for (var field : ignorable.entrySet()) line(subject, version, field.getValue() ? Mode.IGNORED : Mode.REJECT, field.getKey());
        }
      }
    }
    out.flush();
    System.err.println("messages " + messages + ", message x version pairs " + pairs + " " + counts);
  }

  /** Header versions and stability, which the definitions do not say, from the generated enum. */
  static class ApiVersionsOf {
    Object api;
    boolean unstable;
    short highest;
    Method request, response;

    short header(String type, short version) throws Exception {
      return (short) (type.equals("request") ? request : response).invoke(api, version);
    }

    static Map<Integer, ApiVersionsOf> all() throws Exception {
      Class<?> types = Class.forName("org.apache.kafka.common.message.ApiMessageType");
      Map<Integer, ApiVersionsOf> all = new HashMap<>();
      for (Object api : types.getEnumConstants()) {
        ApiVersionsOf of = new ApiVersionsOf();
        of.api = api;
        of.request = types.getMethod("requestHeaderVersion", short.class);
        of.response = types.getMethod("responseHeaderVersion", short.class);
        Method highest = types.getMethod("highestSupportedVersion", boolean.class);
        of.highest = (short) highest.invoke(api, true);
        of.unstable = !highest.invoke(api, false).equals(of.highest);
        all.put((int) (short) types.getMethod("apiKey").invoke(api), of);
      }
      return all;
    }
  }
}
