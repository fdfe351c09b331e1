import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import org.apache.kafka.common.utils.Exit;

/** Runs Kafka's tools one after the other in one process: a line names a class and its arguments, parted by tabs. */
public class JavaTools {
    static class Ended extends Error {}

    public static void main(String[] unused) throws Exception {
        PrintStream real = System.out;
        Exit.Procedure exit = (code, message) -> {
            throw new Ended();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            ByteArrayOutputStream said = new ByteArrayOutputStream();
            PrintStream out = new PrintStream(said, true, "UTF-8");
            System.setOut(out);
            System.setErr(out);
            try {
                scala.Console.withOut(out, () -> {
                    try {
                        Class.forName(words[0])
                            .getMethod("main", String[].class)
                            .invoke(null, (Object) java.util.Arrays.copyOfRange(words, 1, words.length));
                    } catch (java.lang.reflect.InvocationTargetException e) {
                        if (!(e.getCause() instanceof Ended)) e.getCause().printStackTrace(out);
                    } catch (Exception e) {
                        e.printStackTrace(out);
                    }
                    return null;
                });
            } catch (Ended e) {
                // the tool is done
            }
            out.flush();
            real.println(said.toString("UTF-8") + "\n--- done");
            real.flush();
        }
        System.exit(0);
    }
}
