#!/bin/sh
# Writes records.jsonl.gz with the Java client 4.4.0. Needs a JDK 17 and Maven; what they fetch goes into .cache/golden.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../.cache/golden
mkdir -p "$cache"
if [ ! -d "$cache/clients-4.4.0" ]; then
  cat > "$cache/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>golden</groupId><artifactId>golden</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>4.4.0</version></dependency></dependencies>
</project>
POM
  mvn -q -B -f "$cache/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/clients-4.4.0"
fi
java -cp "$cache/clients-4.4.0/*" "$here/Records.java" | gzip -9 -n > "$here/records.jsonl.gz"
ls -l "$here/records.jsonl.gz"
