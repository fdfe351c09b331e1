import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Java's own client at the work `transactions`: BOOTSTRAP TOPIC PER_TRANSACTION WARM_UP_MILLIS MILLIS VALUE; prints its result as JSON. */
public class Transactions {
  public static void main(String[] args) {
    var topic = args[1];
    var perTransaction = Integer.parseInt(args[2]);
    var warmUp = Long.parseLong(args[3]);
    var millis = Long.parseLong(args[4]);
    var value = args[5].getBytes(StandardCharsets.US_ASCII);
    var settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("transactional.id", "java");
    settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
    settings.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    try (var producer = new KafkaProducer<String, byte[]>(settings)) {
      producer.initTransactions();
      long zero = System.nanoTime(), begun = 0, cpu = 0, before = 0, count = 0;
      while (true) {
        var now = System.nanoTime();
        if (begun == 0 && now - zero >= warmUp * 1_000_000) {
          begun = now;
          before = count;
          cpu = system.getProcessCpuTime();
        }
        if (begun != 0 && now - begun >= millis * 1_000_000) {
          var records = count - before;
          var seconds = (now - begun) / 1e9;
          System.out.printf(
            Locale.ROOT,
            "{\"records\":%d,\"seconds\":%f,\"perSecond\":%f,\"cpuSecondsPerMillion\":%f,\"total\":%d,\"rssMiB\":0}%n",
            records, seconds, records / seconds, (system.getProcessCpuTime() - cpu) / 1e3 / records, count);
          return;
        }
        producer.beginTransaction();
        for (int i = 0; i < perTransaction; i++) producer.send(new ProducerRecord<>(topic, "k" + count++, value));
        producer.commitTransaction();
      }
    }
  }
}
