/**
 * DescribeConfigs (key 32): the settings of topics, brokers, groups and the like.
 *
 * v1 sources and synonyms instead of isDefault (KIP-226) · v3 types and documentation (KIP-569) · v4 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeConfigsRequest", { key: 32, versions: "0-4", flexible: "4+" }, () => ({
  resources: Wire.array(
    Wire.struct({
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: Wire.int8,
      resourceName: Wire.string,
      /** Null for all. */
      configurationKeys: Wire.array(Wire.string).pipe(Wire.nullable("0+"))
    })
  ),
  includeSynonyms: Wire.bool.pipe(Wire.at("1+")),
  includeDocumentation: Wire.bool.pipe(Wire.at("3+"))
}))

export const Response = Wire.message("DescribeConfigsResponse", { key: 32, versions: "0-4", flexible: "4+" }, () => ({
  throttleTimeMs: Wire.int32,
  results: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+")),
      resourceType: Wire.int8,
      resourceName: Wire.string,
      configs: Wire.array(
        Wire.struct({
          name: Wire.string,
          /** Null where it is sensitive. */
          value: Wire.string.pipe(Wire.nullable("0+")),
          readOnly: Wire.bool,
          isDefault: Wire.bool.pipe(Wire.at("0")),
          /**
           * 1 topic, 2 broker, 3 all brokers, 4 the broker's file, 5 default, 6 broker logger, 7 client
           * metrics, 8 group; -1 below v1.
           */
          configSource: Wire.int8.pipe(Wire.at("1+", { default: -1, ignorable: true })),
          isSensitive: Wire.bool,
          /** Where else the value could come from, the nearest first. */
          synonyms: Wire.array(
            Wire.struct({
              name: Wire.string,
              value: Wire.string.pipe(Wire.nullable("0+")),
              source: Wire.int8
            })
          ).pipe(Wire.at("1+", { ignorable: true })),
          /** 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password. */
          configType: Wire.int8.pipe(Wire.at("3+", { ignorable: true })),
          documentation: Wire.string.pipe(Wire.nullable("0+"), Wire.at("3+", { ignorable: true }))
        })
      )
    })
  )
}))
