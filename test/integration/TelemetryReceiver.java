import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricsReporter;
import org.apache.kafka.server.telemetry.ClientTelemetry;
import org.apache.kafka.server.telemetry.ClientTelemetryReceiver;
import org.apache.kafka.shaded.io.opentelemetry.proto.metrics.v1.MetricsData;

/**
 * A receiver of clients' metrics (KIP-714): what OpenTelemetry's own classes read of each push is a line of the file that
 * `samsa.telemetry.file` names: the instance, whether it is the last, the client's id, then each point: name, kind, value, labels.
 */
public class TelemetryReceiver implements MetricsReporter, ClientTelemetry {
    /** How often each of Java's clients does something at the most, until it has told of all. */
    private static final int rounds = 600;

    private Path file;

    @Override
    public void configure(Map<String, ?> configs) {
        file = Path.of((String) configs.get("samsa.telemetry.file"));
    }

    @Override
    public ClientTelemetryReceiver clientReceiver() {
        return (context, payload) -> {
            try {
                StringBuilder line = new StringBuilder();
                line.append(payload.clientInstanceId()).append('\t').append(payload.isTerminating());
                line.append('\t').append(context.clientId()).append('\t').append(payload.contentType());
                MetricsData.parseFrom(payload.data()).getResourceMetricsList().forEach(resource ->
                    resource.getScopeMetricsList().forEach(scope ->
                        scope.getMetricsList().forEach(metric -> {
                            var points = metric.hasSum() ? metric.getSum().getDataPointsList() : metric.getGauge().getDataPointsList();
                            points.forEach(point -> {
                                line.append('\t').append(metric.getName());
                                line.append(' ').append(metric.hasSum() ? metric.getSum().getAggregationTemporality().getNumber() : 0);
                                line.append(' ').append(point.hasAsDouble() ? point.getAsDouble() : (double) point.getAsInt());
                                point.getAttributesList().forEach(label ->
                                    line.append(' ').append(label.getKey()).append('=').append(label.getValue().getStringValue()));
                            });
                        })));
                line.append('\n');
                synchronized (this) {
                    Files.write(file, line.toString().getBytes(StandardCharsets.UTF_8),
                        StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                }
            } catch (Exception e) {
                throw new RuntimeException(e);
            }
        };
    }

    @Override
    public void init(List<KafkaMetric> metrics) {}

    @Override
    public void metricChange(KafkaMetric metric) {}

    @Override
    public void metricRemoval(KafkaMetric metric) {}

    @Override
    public void close() {}

    /** Whether this program has told of all of these by now. */
    private static boolean isTold(Path file, List<String> names) throws Exception {
        if (!Files.exists(file)) return false;
        Set<String> told = new HashSet<>();
        String text = Files.readString(file);
        // The last line may be written yet.
        for (String line : text.substring(0, text.lastIndexOf('\n') + 1).lines().toList()) {
            String[] fields = line.split("\t");
            if (fields[2].equals("java"))
                for (int i = 4; i < fields.length; i++) told.add(fields[i].substring(0, fields[i].indexOf(' ')));
        }
        return told.containsAll(names);
    }

    /**
     * Java's own producer and consumer, each until it has told of itself what is wanted: the bootstrap servers, a topic, the
     * file of the receiver, then names of metrics.
     */
    public static void main(String[] args) throws Exception {
        Path file = Path.of(args[2]);
        List<String> wanted = List.of(args).subList(3, args.length);
        List<String> ofProducer = wanted.stream().filter(name -> name.startsWith("org.apache.kafka.producer.")).toList();
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", args[0],
            "client.id", "java",
            "key.serializer", "org.apache.kafka.common.serialization.StringSerializer",
            "value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        try (var producer = new org.apache.kafka.clients.producer.KafkaProducer<String, String>(settings)) {
            for (int i = 0; i < rounds && !isTold(file, ofProducer); i++) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(args[1], "v" + i)).get();
                Thread.sleep(100);
            }
        }
        Map<String, Object> read = Map.of(
            "bootstrap.servers", args[0],
            "client.id", "java",
            "group.id", "readers",
            "auto.offset.reset", "earliest",
            "key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer",
            "value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        try (var consumer = new org.apache.kafka.clients.consumer.KafkaConsumer<String, String>(read)) {
            consumer.subscribe(List.of(args[1]));
            for (int i = 0; i < rounds && !isTold(file, wanted); i++) {
                consumer.poll(java.time.Duration.ofMillis(100));
                consumer.commitSync();
            }
        }
    }
}
