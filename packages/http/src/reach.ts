/** What becomes of something that a handler reads of its client, where the handler runs for all of them. */
export type Fate =
  /** Clients that differ in it have different responses. */
  | "in the key"
  /** The handler gets the load's own, or the process's; the client's is out of reach. */
  | "of the load"
  /** Absent, empty, or as a connection without a client has it. */
  | "withheld"
  /** Using it fails, or never happens in a load. */
  | "refused";

type Names = Readonly<Partial<Record<Fate, string>>>;

const STREAM =
  "addListener closed compose constructor cork destroy destroyed drop emit end errored eventNames every filter find " +
  "flatMap forEach getMaxListeners isPaused iterator listenerCount listeners map off on once pause pipe " +
  "prependListener prependOnceListener push rawListeners read readable readableAborted readableBuffer readableDidRead " +
  "readableEncoding readableEnded readableFlowing readableHighWaterMark readableLength readableObjectMode reduce " +
  "removeAllListeners removeListener resume setDefaultEncoding setEncoding setMaxListeners some take toArray uncork " +
  "unpipe unshift wrap writable writableAborted writableBuffer writableCorked writableEnded writableFinished " +
  "writableHighWaterMark writableLength writableNeedDrain writableObjectMode write";
const REQUEST: Names = {
  "in the key": "method url",
  withheld:
    "headers headersDistinct rawHeaders trailers trailersDistinct rawTrailers httpVersion httpVersionMajor httpVersionMinor",
  "of the load":
    "aborted client complete connection joinDuplicateHeaders setTimeout signal socket statusCode statusMessage",
  refused: "upgrade",
};
const RESPONSE: Names = {
  "of the load":
    "addTrailers appendHeader assignSocket chunkedEncoding connection detachSocket finished flushHeaders getHeader " +
    "getHeaderNames getHeaders getRawHeaderNames hasHeader headersSent maxRequestsOnConnectionReached outputData " +
    "outputSize removeHeader req sendDate setHeader setHeaders setTimeout shouldKeepAlive socket statusCode " +
    "statusMessage strictContentLength useChunkedEncodingByDefault writeContinue writeEarlyHints writeHead writeHeader " +
    "writeInformation writeProcessing",
};
const SOCKET: Names = {
  withheld:
    "address bytesRead bytesWritten getTypeOfService localAddress localFamily localPort remoteAddress remoteFamily remotePort",
  "of the load":
    "allowHalfOpen bufferSize connect connecting destroySoon parser pending readyState ref resetAndDestroy server " +
    "setKeepAlive setNoDelay setTimeout setTypeOfService timeout unref",
};

/**
 * Everything that a handler can reach, by the object that has it, and what a load has there. Fields have rules of their
 * own: `PARTS`. A test compares it with the objects of each version of Node and of each framework, so that nothing which
 * one of them adds goes unseen.
 */
export const REACH: Readonly<Record<string, readonly Names[]>> = {
  request: [REQUEST],
  response: [RESPONSE],
  socket: [SOCKET],
  "TLS socket": [
    SOCKET,
    {
      "in the key": "encrypted servername",
      withheld:
        "alpnProtocol authorizationError authorized exportKeyingMaterial getCertificate getCipher getEphemeralKeyInfo " +
        "getFinished getPeerCertificate getPeerFinished getPeerX509Certificate getProtocol getSession getSharedSigalgs " +
        "getTLSTicket getX509Certificate isSessionReused ssl",
      refused:
        "disableRenegotiation enableTrace renegotiate secureConnecting setKeyCert setMaxSendFragment setServername setSession",
    },
  ],
  "request of HTTP/2": [REQUEST, { "in the key": "authority scheme", "of the load": "stream" }],
  "response of HTTP/2": [RESPONSE, { "of the load": "setTrailer stream", refused: "createPushResponse" }],
  stream: [
    {
      withheld: "id priority state",
      "of the load":
        "aborted additionalHeaders allowHalfOpen bufferSize close endAfterHeaders headRequest headersSent pending respond " +
        "respondWithFD respondWithFile rstCode sendTrailers sentHeaders sentInfoHeaders sentTrailers session setTimeout",
      refused: "pushAllowed pushStream",
    },
  ],
  session: [
    {
      "in the key": "encrypted",
      withheld: "alpnProtocol originSet remoteSettings state",
      "of the load":
        "altsvc close connecting goaway goawayCode goawayLastStreamID localSettings origin pendingSettingsAck ping ref server " +
        "setLocalWindowSize setNextStreamID setTimeout settings socket type unref",
    },
  ],
  "request of Express": [
    REQUEST,
    {
      "in the key": "baseUrl host hostname originalUrl params path protocol query secure subdomains",
      withheld: "accepts acceptsCharsets acceptsEncodings acceptsLanguages fresh get header ip ips is range stale xhr",
      "of the load": "app body next res session user",
    },
  ],
  "response of Express": [
    RESPONSE,
    {
      "of the load":
        "app append attachment clearCookie contentType cookie download format get header json jsonp links locals location " +
        "redirect render send sendFile sendStatus set status type vary",
    },
  ],
  "request of Fastify": [
    {
      "in the key": "host hostname method originalUrl params port protocol query url",
      withheld: "headers ip mediaType",
      "of the load":
        "body compileValidationSchema getDecorator getValidationFunction id is404 log raw routeOptions server setDecorator " +
        "signal socket user validateInput",
    },
  ],
  reply: [
    {
      "of the load":
        "callNotFound code compileSerializationSchema elapsedTime getDecorator getHeader getHeaders getSerializationFunction " +
        "hasHeader hasTrailer header headers hijack log mediaType raw redirect removeHeader removeTrailer request " +
        "routeOptions send sent serialize serializeInput serializer server status statusCode then trailer type " +
        "writeEarlyHints",
    },
  ],
  context: [
    {
      withheld: "env",
      "of the load":
        "body error event executionCtx finalized get getLayout header html json newResponse notFound redirect render req res " +
        "set setLayout setRenderer status text var",
    },
  ],
  "request of Hono": [
    {
      "in the key": "method param path queries query url",
      withheld: "header",
      "of the load":
        "addValidatedData arrayBuffer blob bodyCache bytes formData json matchedRoutes parseBody raw routeIndex routePath text valid",
    },
  ],
  Request: [
    {
      "in the key": "method url",
      withheld: "cf headers referrer referrerPolicy",
      "of the load":
        "arrayBuffer attribute blob body bodyUsed bytes cache clone credentials destination duplex formData integrity " +
        "isHistoryNavigation isReloadNavigation json keepalive mode redirect signal text textStream",
    },
  ],
  "env of Node": [{ withheld: "incoming outgoing" }],
};

/** What becomes of this name on an object of this kind; `undefined` for one that is not in the list. */
export function fateOf(kind: string, name: string): Fate | undefined {
  const all: readonly Names[] = [...(REACH[kind] ?? []), { "of the load": STREAM }];
  for (const names of all)
    for (const [fate, listed] of Object.entries(names)) if (listed.split(" ").includes(name)) return fate as Fate;
  return undefined;
}
