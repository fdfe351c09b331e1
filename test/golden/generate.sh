#!/bin/sh
# Writes messages.jsonl.gz with the Java client of two releases: 4.4.0, and 3.9.2 for the versions that 4.0 removed.
# Needs a JDK 17 and Maven; what they fetch goes into .cache/golden.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../.cache/golden
mkdir -p "$cache"

fetch() { # folder, artifact
  [ -d "$cache/$1" ] && return
  group=${2%%:*} rest=${2#*:}
  cat > "$cache/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>golden</groupId><artifactId>golden</artifactId><version>1</version>
<dependencies><dependency><groupId>$group</groupId><artifactId>${rest%%:*}</artifactId><version>${rest#*:}</version></dependency></dependencies>
</project>
POM
  mvn -q -B -f "$cache/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/$1"
}

# The converters to JSON need Jackson, which the client does not bring.
fetch jackson com.fasterxml.jackson.core:jackson-databind:2.16.2
for version in 4.4.0 3.9.2; do
  fetch "clients-$version" "org.apache.kafka:kafka-clients:$version"
  java -cp "$cache/clients-$version/*:$cache/jackson/*" "$here/Messages.java" > "$cache/messages-$version.jsonl"
done
# Of the old release only what the new one no longer writes.
node "$here/merge.mjs" "$cache/messages-4.4.0.jsonl" "$cache/messages-3.9.2.jsonl" | gzip -9 -n > "$here/messages.jsonl.gz"
ls -l "$here/messages.jsonl.gz"
