//! Every limit of Lambda and of ours, with its unit and source; beside each of ours stands what
//! happens when it is reached.
//!
//! Sources: "quota page" is the Lambda quotas page of the developer guide, "recorded" an answer
//! recorded from AWS, "ours" a bound of this implementation.

/// Bytes of a synchronous request's payload (quota page: 6 MB). Past it: 413.
pub const INVOKE_REQUEST_BYTES: usize = 6_291_456;
/// Bytes of a buffered response (recorded: 6 MiB and 100 bytes). Past it the function gets an error.
pub const INVOKE_RESPONSE_BYTES: usize = 6_291_556;
/// Bytes of a streamed response that pass at once, before the rate counts (RIE; quota page: 6 MB).
pub const STREAM_BURST_BYTES: u64 = 6_291_456;
/// Bytes a second of a streamed response beyond the burst (RIE; quota page: 2 MB/s). Past it the
/// function's writes wait.
pub const STREAM_BYTES_PER_S: u64 = 2_097_152;
/// Pieces of a streamed response that wait for the client (ours). Past it the function's writes wait.
pub const ANSWER_PIECES: usize = 4;
/// Milliseconds after a stream broke off in which the end of its process is told instead (ours): the
/// connection of a process that ends is closed before anybody hears of its exit. Past it:
/// `Runtime.TruncatedResponse`.
pub const EXIT_NEWS_MS: u64 = 200;
/// Bytes of a package sent inside a request (quota page: 50 MB). Past it: 413.
pub const ZIPPED_BYTES: usize = 52_428_800;
/// Bytes of a whole `CreateFunction` request (recorded). Past it: 413.
pub const CREATE_REQUEST_BYTES: usize = 70_167_211;
/// Bytes of code and layers unzipped (quota page: 250 MB).
pub const UNZIPPED_BYTES: u64 = 262_144_000;
/// Entries in a package (ours): far above any real one, low enough to bound time and inodes.
/// Past it the package is refused.
pub const PACKAGE_ENTRIES: usize = 200_000;
/// Directories that are code, below one that a function names (ours). Past it the code is taken as changed
/// at each invocation.
pub const WATCHED_DIRECTORIES: usize = 8_192;
/// Directories of functions that are watched for changes at once (ours). Past it the one that was invoked
/// longest ago is forgotten, and is taken as changed when it is invoked again.
pub const WATCHED_CODE: usize = 256;
/// Bytes of all layers of an image, unpacked (quota page: 10 GB).
pub const IMAGE_BYTES: u64 = 10 << 30;
/// Layers of an image (ours): what one list of the kernel's holds. Past it the image is refused.
pub const IMAGE_LAYERS: usize = 64;
/// Entries in a layer of an image (ours): far above any real one, low enough to bound time and inodes.
/// Past it the image is refused.
pub const IMAGE_ENTRIES: usize = 1_000_000;
/// Bytes of an image's command line, variables and directory (quota page: 16 KB). Past it it is refused.
pub const IMAGE_SETTINGS_BYTES: usize = 16_384;
/// Bytes of an index, a manifest or a configuration of an image (the distribution specification asks for
/// 4 MiB). Past it the image is refused.
pub const IMAGE_DOCUMENT_BYTES: u64 = 4 << 20;
/// Files of an archive that holds an image (ours): three for a layer, and many images. Past it it is refused.
pub const ARCHIVE_FILES: usize = 10_000;
/// Bytes of a path in a package (Linux `PATH_MAX` less the place it is unpacked to).
pub const PACKAGE_PATH_BYTES: usize = 3_072;
/// Bytes of any other control-plane request body (ours). Past it: 413.
pub const CONTROL_REQUEST_BYTES: usize = 1_048_576;
/// Seconds a function may run (API model).
pub const TIMEOUT_S: std::ops::RangeInclusive<u32> = 1..=900;
/// Seconds a function may run unless told otherwise (developer guide).
pub const TIMEOUT_DEFAULT_S: u32 = 3;
/// Megabytes of memory (quota page).
pub const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// Megabytes of memory unless told otherwise.
pub const MEMORY_DEFAULT_MB: u32 = 128;
/// Megabytes of memory that buy one vCPU (developer guide).
pub const MEMORY_PER_VCPU_MB: u32 = 1_769;
/// Megabytes of `/tmp` (quota page).
pub const EPHEMERAL_MB: std::ops::RangeInclusive<u32> = 512..=10_240;
/// Megabytes of `/tmp` unless told otherwise.
pub const EPHEMERAL_DEFAULT_MB: u32 = 512;
/// Bytes of the JSON of all environment variables (quota page: 4 KB).
pub const VARIABLES_BYTES: usize = 4_096;
/// Layers of a function (quota page).
pub const LAYERS: usize = 5;
/// Characters of a layer's name or ARN (API model).
pub const LAYER_NAME_CHARS: usize = 140;
/// Bytes of a resource policy (developer guide: 20 KB). Past it: `PolicyLengthExceededException`.
pub const POLICY_BYTES: usize = 20_480;
/// Processes and threads inside an environment (quota page).
pub const PROCESSES: u32 = 1_024;
/// Characters of a bare function name (recorded).
pub const FUNCTION_NAME_CHARS: usize = 64;
/// Characters of `FunctionName` in any of its forms, on create (API model).
pub const FUNCTION_REFERENCE_CHARS: usize = 140;
/// Characters of a description (API model).
pub const DESCRIPTION_CHARS: usize = 256;
/// Characters of a handler (API model).
pub const HANDLER_CHARS: usize = 128;
/// Tags of a resource (API model).
pub const TAGS: usize = 50;
/// Managed policies attached to one role, user or group (IAM's quota at its highest). One more is
/// refused.
pub const ATTACHED_POLICIES: usize = 20;
/// Groups one user may be in (IAM quota). One more is refused.
pub const GROUPS_PER_USER: usize = 10;
/// Access keys of one user (IAM quota). One more is refused.
pub const ACCESS_KEYS_PER_USER: usize = 2;
/// Uses of access keys that wait to be written down (ours). One more is forgotten: a key that is
/// used that often is used again.
pub const KEY_USES_WAITING: usize = 256;
/// Base64 characters of a client context (API model).
pub const CLIENT_CONTEXT_CHARS: usize = 3_583;
/// Items of one page, whatever `MaxItems` says (developer guide).
pub const PAGE_ITEMS: usize = 50;
/// Event source mappings of one page, whatever `MaxItems` says (API model).
pub const MAPPING_PAGE_ITEMS: usize = 100;
/// Filters of an event source mapping (developer guide). Past it: 400.
pub const EVENT_FILTERS: usize = 5;
/// Environments of an account that may run at once (quota page).
pub const ACCOUNT_CONCURRENCY: u32 = 1_000;
/// Of these, how many must stay for functions that reserve none (recorded).
pub const UNRESERVED_CONCURRENCY: u32 = 100;
/// Synchronous requests a second for each environment that may run at once (quota page). Past it, where
/// rates are limited: 429.
pub const REQUESTS_PER_S_OF_ONE: u32 = 10;
/// Environments by which one function may grow within [`SCALING_MS`] (developer guide). Past it, where rates
/// are limited: 429.
pub const SCALING_ENVIRONMENTS: u32 = 1_000;
/// Milliseconds within which it may grow by so many, refilled continuously (developer guide).
pub const SCALING_MS: u64 = 10_000;
/// Bytes of code an account may store (recorded: 75 GB).
pub const CODE_STORAGE_BYTES: u64 = 80_530_636_800;

/// Milliseconds the on-demand Init may take (developer guide).
pub const INIT_MS: u64 = 10_000;
/// Milliseconds the Init of an environment of provisioned concurrency or of SnapStart may take; the
/// function's timeout, if that is longer (developer guide).
pub const PROVISIONED_INIT_MS: u64 = 130_000;
/// Milliseconds that a restored runtime has for its hooks until it asks for work (developer guide). Past it
/// callers get a `SnapStartTimeoutException`.
pub const RESTORE_MS: u64 = 10_000;
/// Milliseconds that an environment which cannot serve waits for the caller for whom it was made (ours). Past them
/// he has been served by another, and it ends.
pub const SPOILT_MS: u64 = 1_000;
/// Milliseconds that putting the processes of a snapshot back may take (ours). Past it the environment is
/// given up, and the snapshot is not used again.
pub const RESTORE_PROCESSES_MS: u64 = 10_000;
/// Versions that are initialised for their snapshots at once (ours). Further ones wait, pending.
pub const SNAPSHOTS_AT_ONCE: usize = 4;
/// How often a version is initialised for its snapshot when that does not come to an end for a reason that is not
/// the function's (ours). Past it the version has failed.
pub const SNAPSHOT_TRIES: u32 = 5;
/// Milliseconds after which a snapshot that could not be made is tried again (ours), when an environment of its
/// version is made.
pub const SNAPSHOT_RETRY_MS: u64 = 3_600_000;
/// Bytes of Python source for which bytecode is compiled ahead at least (ours): compiling as much takes some two
/// milliseconds, finding what is kept takes one.
pub const BYTECODE_PYTHON_BYTES_MIN: u64 = 16 * 1024;
/// As [`BYTECODE_PYTHON_BYTES_MIN`], of JavaScript, which is compiled more quickly.
pub const BYTECODE_NODE_BYTES_MIN: u64 = 128 * 1024;
/// Bytes that an archive of bytecode may have (ours): it is about as large as its source, of which a function has
/// no more (`spec/lambda-api.md`).
pub const BYTECODE_BYTES_MAX: u64 = UNZIPPED_BYTES;
/// Milliseconds that compiling one archive may take (ours). Past it there is none.
pub const BYTECODE_MS: u64 = 300_000;
/// Megabytes that the compiler of bytecode may use (ours): one source file at a time, of a few megabytes at most.
pub const BYTECODE_MEMORY_MB: u32 = 512;
/// Thousandths of a core that the compiler of bytecode may use (ours): functions go first.
pub const BYTECODE_CPU_MILLIS: u32 = 500;
/// Bytes of a disk that are left to others when something is kept that could be made again (ours).
pub const DISK_RESERVE_BYTES: u64 = 1 << 30;
/// Bytes that all snapshots together may have (ours). Past it those go that were used longest ago.
pub const SNAPSHOTS_BYTES_MAX: u64 = 32 << 30;
/// Milliseconds that writing a snapshot may take (ours). Past it there is none.
pub const CHECKPOINT_MS: u64 = 60_000;
/// Environments of provisioned concurrency that one function version has in the making at once (ours).
/// Further ones wait for these.
pub const PROVISIONED_STARTS: usize = 4;
/// The part of a machine's memory that functions do not get, one in so many (ours): for the daemon, the page
/// cache, everything else. Past the rest, environments wait for room.
pub const MACHINE_RESERVE_PART: u64 = 8;
/// The part of its memory that an idle environment counts with, one in so many (ours; a frozen Python of
/// 128 MB holds 6 to 16). Should all hold more, the kernel tells of pressure and idle ones end.
pub const FROZEN_PART: u64 = 8;
/// The part of all idle environments that ends when memory is short, one in so many (ours); again when it is
/// still short after that.
pub const PRESSURE_PART: usize = 8;
/// Megabytes below which the machine's memory has to be before news of pressure ends idle environments (ours):
/// tasks wait for memory also while the kernel takes back page cache, of which there may be plenty. Within a
/// control group's limit the news itself is enough.
pub const PRESSURE_LEFT_MB: u64 = 2_048;
/// Milliseconds a caller waits for room on a full machine (ours). Past it: 500, `ServiceException`.
pub const ROOM_WAIT_MS: u64 = 10_000;
/// Milliseconds after which a function that holds nothing gets room of another whose own callers wait (ours).
pub const ROOM_TURN_MS: u64 = 500;
/// Megabytes of memory that keeping environments ready leaves to the rest of the machine (ours), and that
/// functions always leave. Past it no further one is made: `FAILED`, and tried again.
pub const PROVISIONED_RESERVE_MB: u64 = 256;
/// Milliseconds after which an environment of provisioned concurrency that could not be made is tried
/// again (ours); doubled each time, up to the longest.
pub const PROVISIONED_RETRY_MS: u64 = 1_000;
/// The longest of these waits, in milliseconds (ours).
pub const PROVISIONED_RETRY_MOST_MS: u64 = 300_000;
/// Milliseconds a sandbox may take to be made (ours). Past it the environment is given up.
pub const PROVISION_MS: u64 = 10_000;
/// Milliseconds a reset or a killing may take (developer guide: 2 s). Past it the sandbox is destroyed.
pub const KILL_MS: u64 = 2_000;
/// Milliseconds a shutdown may take with external extensions (developer guide).
pub const SHUTDOWN_MS: u64 = 2_000;
/// Milliseconds a shutdown may take with internal extensions only (developer guide).
pub const SHUTDOWN_INTERNAL_MS: u64 = 500;
/// The runtime's share of a shutdown's budget, in percent (RIE).
pub const SHUTDOWN_RUNTIME_PERCENT: u64 = 30;
/// Milliseconds the end of an invocation may wait for output still in the pipes (ours). Past it
/// the report is written without.
pub const DRAIN_OUTPUT_MS: u64 = 100;
/// Microseconds an environment without work waits for the daemon to be still before it is frozen (ours).
/// Past it, it is frozen all the same.
pub const FREEZE_US: u64 = 5_000;
/// Milliseconds a stopping server waits for running invocations (ours).
pub const DRAIN_MS: u64 = 30_000;
/// Milliseconds a caller waits for an environment that has just answered another, before a new one
/// is started (ours): far above what settling takes, far below a cold start.
pub const SETTLE_MS: u64 = 10;
/// Seconds an idle environment is kept (ours; AWS does not say: 5 to 15 minutes are observed).
pub const IDLE_S: u64 = 600;

/// Seconds after which an environment is replaced when nothing runs in it, busy as it may be (developer
/// guide: "every few hours").
pub const LIFE_S: u64 = 4 * 3_600;

/// Bytes of the log tail in `X-Amz-Log-Result` (API model: the last 4 KB).
pub const LOG_TAIL_BYTES: usize = 4_096;
/// Bytes of one log event (`PutLogEvents`: 256 KB with 26 bytes of overhead). Longer lines are split.
pub const LOG_EVENT_BYTES: usize = 262_118;
/// Log events of one environment that may wait to be stored (ours). Past it events are dropped and
/// counted, and a line says how many.
pub const LOG_QUEUE_EVENTS: usize = 4_096;
/// Events of one `PutLogEvents` (API model). More are refused.
pub const PUT_LOG_EVENTS: usize = 10_000;
/// Bytes of the events of one `PutLogEvents`, overhead included (`PutLogEvents`). More are refused.
pub const PUT_LOG_BYTES: usize = 1_048_576;
/// Bytes of a request to CloudWatch Logs (ours): the events of one `PutLogEvents` as JSON, most of
/// it escaped. Past it: 413.
pub const LOG_REQUEST_BYTES: usize = 8 * 1_048_576;
/// Bytes that a log event counts beside its message (`PutLogEvents`).
pub const LOG_EVENT_OVERHEAD_BYTES: u64 = 26;
/// Log bytes, overhead included, that one environment may write in a second on average (ours); a
/// second's worth may come at once. Past it its lines are dropped and counted.
pub const LOG_BYTES_PER_S: u64 = 2 * 1_048_576;

/// How often a batch of telemetry is offered to its subscriber (ours). Past it the batch is dropped,
/// counted and told of by `platform.logsDropped`.
pub const TELEMETRY_ATTEMPTS: u32 = 8;
/// Milliseconds before a batch of telemetry is offered again (ours); doubled each time.
pub const TELEMETRY_RETRY_MS: u64 = 50;
/// Milliseconds a subscriber may take for a batch while its environment runs (ours). Past it the
/// attempt has failed.
pub const TELEMETRY_ATTEMPT_MS: u64 = 5_000;
/// Milliseconds an environment with nothing else to do stays awake for telemetry under way (ours).
/// Past it the rest is delivered after the next thaw.
pub const TELEMETRY_FLUSH_MS: u64 = 100;
/// How many times its buffer a subscriber may be behind (developer guide: "up to two times"). Past
/// it events are dropped and counted.
pub const TELEMETRY_BACKLOG: usize = 2;

/// Bytes of lines that are kept of an Init for who subscribes to telemetry later in it (ours): as much
/// as the largest buffer may be behind. Past it lines are not kept.
pub const TELEMETRY_REPLAY_BYTES: usize = 2 * 1_048_576;

/// Callers of one function version that may wait for an environment (ours). Past it: 429.
pub const WAITERS: usize = 1_000;
/// Requests an owner task may have queued (ours). Past it senders wait.
pub const OWNER_QUEUE: usize = 256;
/// Transitions kept of one environment's life (ours). Past it the oldest but the first are dropped.
pub const LIFE_EVENTS: usize = 256;
/// The first transitions of a life, which are kept whatever follows (ours): a cold start and the
/// invocation it was made for.
pub const LIFE_FIRST_EVENTS: usize = 8;
/// Lives of ended environments that are kept to be looked at (ours). Past it the oldest are dropped.
pub const ENDED_LIVES: usize = 256;
/// Milliseconds a client may take to send its headers (ours).
pub const HEADER_MS: u64 = 10_000;
/// Bytes of request line and headers (developer guide: 1 MB; ours is lower since nothing needs it).
pub const HEADER_BYTES: usize = 65_536;
/// Milliseconds a `Code.Location` link works (API model: ten minutes).
pub const CODE_LINK_MS: u64 = 600_000;
/// Changes one transaction may gather (ours). Further ones wait for the next.
pub const GROUP_COMMIT: usize = 256;

/// Bytes of a message with its attributes, and of a batch of them (`SendMessageBatch`: 1 MiB). Past it:
/// `InvalidParameterValue` or `BatchRequestTooLong`.
pub const QUEUE_MESSAGE_BYTES: usize = 1_048_576;
/// Bytes of a request to SQS (ours): the largest batch with every byte of it escaped. Past it: 413.
pub const QUEUE_REQUEST_BYTES: usize = 8 * 1_048_576;
/// Messages that one request sends, receives or settles (API model).
pub const QUEUE_BATCH: usize = 10;
/// Receivers that wait for messages at once, over all queues (ours). Past it a receive is answered at
/// once.
pub const QUEUE_WAITERS: usize = 1_000;
/// Seconds a receive waits at most (API model).
pub const QUEUE_WAIT_S: u64 = 20;

/// Facts about invocations that may wait to be counted (ours): what a busy server makes in a few
/// moments. Past it facts are dropped, counted and told of at `/metrics`.
pub const METRIC_FACTS: usize = 16_384;
/// Functions, with their qualifiers and versions, that `/metrics` tells apart (ours). Past it they are
/// told together.
pub const METRIC_SUBJECTS: usize = 10_000;

/// Characters of a bucket's name (S3 user guide).
pub const BUCKET_NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
/// Buckets of an account (S3 user guide: 10 000 unless raised). Past it: `TooManyBuckets`.
pub const BUCKETS: usize = 10_000;
/// Bytes of an object's key (S3 user guide). Past it: `KeyTooLongError`.
pub const OBJECT_KEY_BYTES: usize = 1_024;
/// Bytes of one put, of a part and of what is copied at once (S3 user guide: 5 GiB). Past it:
/// `EntityTooLarge`.
pub const OBJECT_PUT_BYTES: u64 = 5 * 1_073_741_824;
/// Bytes that every part but the last has at least (S3 user guide: 5 MiB). Below it: `EntityTooSmall`.
pub const PART_BYTES: u64 = 5 * 1_048_576;
/// The numbers of parts (S3 user guide). Outside: `InvalidArgument`.
pub const PART_NUMBERS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Bytes of an object's own metadata, names and values (S3 user guide: 2 KB). Past it:
/// `MetadataTooLarge`.
pub const OBJECT_METADATA_BYTES: usize = 2_048;
/// Tags of an object (S3 user guide). Past it: `BadRequest`.
pub const OBJECT_TAGS: usize = 10;
/// Entries of one page of a list (S3 API). Larger pages are not given.
pub const OBJECT_PAGE: usize = 1_000;
/// Objects that one request deletes (S3 API). Past it: `MalformedXML`.
pub const OBJECT_DELETES: usize = 1_000;
/// Bytes of an XML document or policy in a request to S3 (S3 API: 2 MiB for the largest). Past it:
/// `MaxMessageLengthExceeded`.
pub const OBJECT_REQUEST_BYTES: usize = 2 * 1_048_576;
/// Bytes of an object that are in memory at once while it passes in or out (ours): a piece that is
/// written or read, and one that is on its way. The client waits for the disk, the disk for the client.
pub const OBJECT_PIECE_BYTES: usize = 262_144;
/// Bytes of an event that is queued (API model: 1 MB). Past it: 413.
pub const EVENT_BYTES: usize = 1_048_576;
/// Bytes of an event that `InvokeAsync` queues (API model: 256 KB). Past it: 413.
pub const INVOKE_ASYNC_BYTES: usize = 262_144;
/// Seconds for which an event is kept (API model).
pub const EVENT_AGE_S: std::ops::RangeInclusive<u32> = 60..=21_600;
/// How often an event is tried again after its function failed (API model: at most twice, which is
/// also what holds unless said).
pub const EVENT_RETRIES: u32 = 2;
/// Milliseconds before a failed event is tried again; twice as many before its second retry (developer
/// guide: one minute, then two).
pub const EVENT_RETRY_MS: u64 = 60_000;
/// Milliseconds before an event that could not be run is tried again, at first and at most (developer
/// guide: 1 second, doubled up to 5 minutes).
pub const EVENT_BACK_OFF_MS: std::ops::RangeInclusive<u64> = 1_000..=300_000;
/// Queued events that run at once, over all functions (ours). Of these a function gets no more than it
/// leaves free, so that none can keep another waiting. Past it events wait on disk.
pub const EVENTS_RUNNING: usize = 128;

/// Sessions that follow logs at once, over all accounts (ours; at AWS 15 in one). Past it:
/// `LimitExceededException`.
pub const LIVE_TAILS: usize = 64;
/// Events that one update of such a session tells (API reference). Past it the rest is left out, and
/// the update says that it is a sample.
pub const LIVE_TAIL_EVENTS: usize = 500;
/// Seconds such a session lasts (API reference: three hours). Past it it ends with
/// `SessionTimeoutException`.
pub const LIVE_TAIL_S: u64 = 3 * 3_600;

/// Sandboxes of one kind that stand by at most, where their number follows the callers (ours: a Python
/// interpreter has 7 MB, a Node one 12).
pub const STANDBY_AUTO_MAX: u16 = 8;
/// Sandboxes of one kind that stand by at most, where their number is fixed (ours).
pub const STANDBY_FIXED_MAX: u16 = 1_000;
/// Kinds of sandboxes that stand by at once (ours). Past it those go that were wanted longest ago.
pub const STANDBY_KINDS: usize = 16;
/// Seconds for which a caller counts for how many stand by (ours).
pub const STANDBY_RECENT_S: u64 = 60;
/// Seconds after which a kind that nobody wanted stands by no more (ours).
pub const STANDBY_FORGET_S: u64 = 900;
/// Milliseconds without a caller before sandboxes are made ahead (ours: making one takes the CPU from who
/// waits), and after which one is made even if callers keep coming.
pub const STANDBY_QUIET_MS: u64 = 20;
/// See [`STANDBY_QUIET_MS`].
pub const STANDBY_PATIENCE_MS: u64 = 250;
/// Milliseconds that an interpreter may take to stand by (ours: it takes 10 to 50). Past it the attempt
/// has failed.
pub const STANDBY_START_MS: u64 = 10_000;
/// Seconds after which another attempt is made at most, when several have failed; doubled from one (ours).
pub const STANDBY_RETRY_MAX_S: u64 = 60;
/// Megabytes that must be free, beside the reserve, for another sandbox to be made ahead (ours).
pub const STANDBY_ROOM_MB: u32 = 64;
