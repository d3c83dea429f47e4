//! Every limit of the system, each with its reason.
//!
//! What a peer can make a process hold is bounded by these and by configuration, never by what the
//! peer claims.

/// Elements of a chunk: 256 KiB of `f32`. Large enough that a lock and a header cost nothing beside
/// the apply, small enough that weights, gradient and state of one chunk stay in the L2 cache.
pub const CHUNK_ELEMENTS_MAX: usize = 64 * 1024;

/// Elements of a chunk of a large model: just below the most. Allocators put memory of exactly 256 KiB and
/// their own bytes beside it into their next class of sizes, 320 KiB; where pages are huge, all of that is
/// resident, a third more than a shard holds (docs/adr/0021-full-chunks.md).
pub const CHUNK_ELEMENTS_FULL: usize = CHUNK_ELEMENTS_MAX - 16;

/// Elements of a chunk of a small model: 256 bytes, which a chunk's own header should not outweigh.
pub const CHUNK_ELEMENTS_MIN: usize = 64;

// A position on the wire must be able to name every element of a chunk.
const _: () = assert!(CHUNK_ELEMENTS_MAX <= ps_kernels::encoding::POSITIONS_MAX);

/// Bytes of payload put into one message. Messages below 1 MiB cost throughput, larger ones memory.
pub const MESSAGE_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Bytes a peer may send as one message: a payload, one chunk that overshoots it, and headers.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a control message: it may name every tensor of the largest model.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Bytes of a request that is read beside all others: settings, a heartbeat with its histogram. Of larger
/// ones few are read at once.
pub const SMALL_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Larger requests that a process reads at once; others wait for them.
pub const LARGE_REQUESTS_MAX: usize = 8;

/// Bytes that small requests may take, decoded, in all of a process; large ones are decoded one after another.
pub const DECODED_REQUESTS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes that a byte of a request may take, decoded: an empty tensor is two bytes on the wire and 56 in
/// memory, and a list that grows has up to twice what it holds.
pub const DECODED_BYTES_PER_BYTE: usize = 64;

/// Milliseconds that a request of one message may take to arrive, or to find room.
pub const REQUEST_WAIT_MS_MAX: u64 = 10_000;

/// And so many bytes of it may take a second more: a large one crosses a slow link, a trickle is cut off.
pub const REQUEST_BYTES_PER_S_MIN: u64 = 100_000;

/// Bytes of a request to the master: counts, an address, a reason in words, a histogram, a description of data.
pub const MASTER_REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a piece of weights that a program sends the master.
pub const KEPT_PIECE_BYTES_MAX: usize = 128 * 1024;
const _: () = assert!(KEPT_PIECE_BYTES_MAX <= MASTER_REQUEST_BYTES_MAX / 2);

/// HTTP/2 windows of a connection whose calls are small, and of one call on it: a master has as many connections as
/// its job has members.
pub const SMALL_CALLS_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// See [`SMALL_CALLS_CONNECTION_WINDOW_BYTES`].
pub const SMALL_CALLS_STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Concurrent HTTP/2 streams of a connection whose calls are small: a member has two calls at once.
pub const SMALL_CALLS_STREAMS_PER_CONNECTION_MAX: u32 = 128;

/// Connections to the master for each member of the job: a member has one, and while it connects anew another.
pub const MASTER_CONNECTIONS_PER_MEMBER: usize = 3;

/// Connections to the master beside those of members: who looks after its health, strays, processes that are loading.
pub const MASTER_CONNECTIONS_OTHERS: usize = 128;

/// Pushes a shard remembers per worker. Retries fall inside it; what is older is refused as stale.
pub const DEDUP_WINDOW: u64 = 1024;

/// Pushes a client leaves unacknowledged per shard: half a window, so that a live incarnation can
/// never fall out of it.
pub const UNACKNOWLEDGED_PUSHES_MAX: u64 = DEDUP_WINDOW / 2;

/// Exchanges that a worker has under way while it computes. Each costs it weights and a gradient of
/// the whole model, and makes every gradient one step staler; no link is so slow that more would
/// hide anything.
pub const PIPELINE_DEPTH_MAX: u64 = 16;

/// Elements of one model: 16 GiB of weights. Offsets on the wire and allocations are checked first.
pub const MODEL_ELEMENTS_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Tensors of one model; a layout is sent in one control message.
pub const TENSORS_MAX: usize = 8 * 1024;

/// Bytes of a tensor's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 8;

/// Servers of one job.
pub const SHARDS_MAX: u32 = 1024;

/// Workers of one job; each costs every shard one dedup window.
pub const WORKERS_MAX: u32 = 4096;

/// Evaluators of a job: one measures, the others stand by, and more than a few are a mistake.
pub const EVALUATORS_MAX: u32 = 16;

/// Connections that wait to be accepted: a job's workers start at one moment, and of one that finds no room the system forgets
/// that it has come. The system may have a lower limit of its own (`net.core.somaxconn`).
pub const UNACCEPTED_CONNECTIONS_MAX: i32 = 4096;

/// Milliseconds that a peer that has connected may take to begin to speak: until then its connection is one that others
/// could have.
pub const GREETING_WAIT_MS_MAX: u64 = 10_000;

/// HTTP/2 frames of data that are read of a connection before one of its calls was taken, at once and in each second: the
/// largest start's header is 256 of them.
pub const STRANGER_FRAMES_BURST: f64 = 400.0;
/// See [`STRANGER_FRAMES_BURST`].
pub const STRANGER_FRAMES_PER_S: f64 = 160.0;

/// Frames of data that any other frame counts as: whoever gets it has more to do (a call to begin, to refuse, to answer), and a
/// health check is four of them.
pub const STRANGER_CONTROL_FRAME: f64 = 8.0;

/// Concurrent HTTP/2 streams of one connection: pushes, pulls waiting at the gate, control.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1100;

/// Chunks of one pull that are copied before the connection takes them: 1 MiB.
pub const PULL_CHUNKS_AHEAD_MAX: usize = 4;

/// Milliseconds that a caller may leave sent weights unread before it loses its connection, unless
/// the server is told otherwise.
pub const PULL_WAIT_MS_MAX: u64 = 10_000;

/// Buffers of one chunk that a server keeps in each direction when nobody calls: 16 MiB.
pub const BUFFERS_KEPT_MAX: usize = 64;

/// Bytes of a push to one shard that goes on the call for small pushes: above, a call of its own
/// costs nothing beside the bytes, and does not hold up others.
pub const SMALL_PUSH_BYTES_MAX: usize = 64 * 1024;

/// Pushes of one call that one answer stands for, where they come faster than they are answered.
pub const PUSHES_PER_ANSWER_MAX: usize = 64;

/// Milliseconds that a push waits for room before it is shed: longer, and its sender's own time
/// limit would break the call without a word.
pub const PUSH_ROOM_WAIT_MS_MAX: u64 = 3_000;

/// Milliseconds that a push may take to send its next chunk. It holds its share of the bytes in
/// flight meanwhile, so a sender that died must not hold it for long.
pub const PUSH_CHUNK_WAIT_MS_MAX: u64 = 10_000;

/// How often a call that waits, at the gate or behind another start, is told that it does: well within the time
/// in which a caller gives up where nothing moves.
pub const WAIT_TOLD_MS: u64 = 1_000;

/// Bytes of a push's or pull's header, and of a request to pull: a job id and a dozen numbers fit
/// many times over.
pub const BULK_HEADER_BYTES_MAX: usize = 4 * 1024;

/// Headers of starts that are read at once; others wait for them.
pub const INIT_HEADERS_MAX: usize = 4;

/// Milliseconds that a start may have its turn before its weights come, and how many of their bytes it has to send for each
/// second more: as many as a full chunk in its time.
pub const INIT_TURN_MS_MAX: u64 = 30_000;
/// See [`INIT_TURN_MS_MAX`].
pub const INIT_BYTES_PER_S_MIN: u64 =
    (CHUNK_ELEMENTS_MAX * 4) as u64 * 1000 / PUSH_CHUNK_WAIT_MS_MAX;

/// Spans of one chunk's payload: one for each element would cover nothing less.
pub const SPANS_PER_CHUNK_MAX: usize = CHUNK_ELEMENTS_MAX;

/// Bytes that one connection reads before others of its thread, and other threads, have a turn: a
/// worker that floods must not be all that a server hears.
pub const READ_BURST_BYTES_MAX: usize = 256 * 1024;

/// HTTP/2 stream window: how far a sender may run ahead of the reader of one call.
pub const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// HTTP/2 connection window: a memory promise per connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// HTTP/2 frame: 16 KiB frames halve throughput, frames above 1 MiB churn the allocator.
pub const FRAME_BYTES_MAX: u32 = 256 * 1024;

/// Bytes that wait in the kernel to be sent over TCP: a slow link is through with half a frame in the time that the
/// slowest push has for its next chunk, and a fast one is never out of them.
pub const UNSENT_BYTES_MAX: u32 = FRAME_BYTES_MAX / 2;

/// Staleness values counted one by one; above, in powers of two.
pub const STALENESS_EXACT_MAX: u64 = 64;

/// Characters of a job id.
pub const JOB_ID_BYTES_MAX: usize = 128;

/// Bytes of a member's address: the longest DNS name, a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 260;

/// Staleness counts in one heartbeat: more than there are distinct values in a histogram.
pub const STALENESS_COUNTS_MAX: usize = 256;

/// Bytes of a message to people that a member may send.
pub const MESSAGE_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Calls to the master that wait for its one task: a heartbeat and a request of every member, so that
/// it sees all that came before it takes anybody for silent. A call is small.
pub const CONTROL_CALLS_MAX: usize = 2 * (WORKERS_MAX + SHARDS_MAX + 1) as usize;

/// Training samples of a job: their places, times passes or workers, are counted in 64 bits, and as a share of the job in
/// 53.
pub const SAMPLES_MAX: u64 = 1 << 40;

/// How long a shard begins no push that it does not know, from when it said which ones it has begun to when it is told which
/// ones all shards have: two round trips, or the master is not there.
pub const CUT_HELD_MS_MAX: u64 = 2_000;

/// How long nothing may come of pushes that a cut waits for. Those of workers that are lost are not waited for.
pub const CUT_LATE_MS_MAX: u64 = 30_000;

/// How long a push waits for memory that a cut needs: less than whoever sends it gives a call in which nothing moves. Then
/// the cut is given up.
pub const CUT_ROOM_WAIT_MS_MAX: u64 = 5_000;

/// Bytes that a cut may keep however small the shard is.
pub const CUT_MEMORY_BYTES_MIN: usize = 16 * 1024 * 1024;

/// How often it is looked whether they have come.
pub const CUT_LATE_POLL_MS: u64 = 2;

/// Complete checkpoints that a snapshot call may name as staying: more than anybody keeps.
pub const CHECKPOINTS_KEPT_MAX: usize = 64;

/// Checkpoints of a job that a server's folder may know nothing of, one after another, because they failed before it was
/// told.
pub const CHECKPOINTS_MISSED_MAX: u64 = 1000;

/// Bytes of a checkpoint's shard file: weights and two state vectors of the largest model, and the
/// rest many times over.
pub const CHECKPOINT_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// Bytes of records that wait to be written to a journal before pushes wait for room: large enough that a sync costs little
/// beside the write, small enough that two of them are little memory.
pub const JOURNAL_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a journal beyond which its shard is written whole and what came before goes, unless the shard is larger: then
/// as many as that has, so that no more is written twice than once, and a restart reads about two shards.
pub const JOURNAL_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Milliseconds that a journal waits for room on a full disk before its server gives up; what was acknowledged is kept.
pub const JOURNAL_FULL_MS_MAX: u64 = 600_000;

/// Counts (versions, clocks, numbers of pushes) in a checkpoint: no job reaches it, and adding to
/// it never overflows.
pub const COUNT_MAX: u64 = 1 << 62;

/// Bytes of the header of a safetensors file: what the library that reads it allows.
pub const SAFETENSORS_HEADER_BYTES_MAX: usize = 100_000_000;

/// Inputs of one sample: 64 MiB of `f32`, an image of 4096 by 4096 pixels.
pub const FEATURES_MAX: u64 = 16 * 1024 * 1024;

/// Classes that labels may name.
pub const CLASSES_MAX: u32 = 16 * 1024 * 1024;

/// Measures of one evaluation, beside loss and accuracy.
pub const MEASURES_MAX: usize = 32;

/// Leases that a program reports at once: more than its loader can have fetched ahead.
pub const PROGRAM_LEASES_MAX: usize = 4096;

/// Samples of a program's step.
pub const PROGRAM_BATCH_MAX: u64 = 1 << 32;

/// Characters of a measure's name.
pub const MEASURE_NAME_MAX: usize = 64;

/// Samples that one request for served samples may name: 256 KiB of numbers.
pub const SAMPLES_PER_READ_MAX: usize = 64 * 1024;

/// Distinct texts in one column of a table that become one input each. More of them would make inputs that are nearly always
/// zero: they are looked up instead, by a model that can.
pub const CATEGORIES_MAX: usize = 256;

/// Distinct texts in one column that are known each by name, and go with the model in its schema. More of them are hashed.
pub const NAMED_CATEGORIES_MAX: usize = 65_536;

/// Rows that more texts than that are hashed to: each then has one of its own or shares it with a few.
pub const HASHED_ROWS: u32 = 65_536;

/// Bytes of the distinct texts of one column that are kept while it is counted: 64 for each that can have a name.
pub const DISTINCT_BYTES_MAX: usize = 64 * NAMED_CATEGORIES_MAX;

/// Memory for the distinct texts of all columns of a table together, of which each column has an equal share: up to some
/// twenty columns may have as many as one alone; a table of thousands of columns would else need many times its own size.
pub const TABLE_DISTINCT_BYTES_MAX: usize = 256 << 20;

/// Columns of a table that are looked up: what a member says of them fits in a message with room to spare.
pub const ID_COLUMNS_MAX: usize = 1024;

/// Bytes of such a column's name that are told; longer ones are cut.
pub const ID_COLUMN_NAME_BYTES_MAX: usize = 128;

/// Distinct labels in a table that become classes: the last layer of a classifier has one output for each.
pub const LABEL_CLASSES_MAX: usize = 65_536;

/// Of what a member says that is to be learnt: label columns and weights can be many, and a message must not be.
pub const OBJECTIVE_BYTES_MAX: usize = 4096;

/// Of what a member says of its model and its table, as JSON; a longer schema is not told.
pub const ABOUT_BYTES_MAX: usize = 96 * 1024;

// With all columns of ids, what is learnt and the rest, it is one request.
const _: () = assert!(
    ABOUT_BYTES_MAX
        + ID_COLUMNS_MAX * (ID_COLUMN_NAME_BYTES_MAX + 8)
        + OBJECTIVE_BYTES_MAX
        + 16 * 1024
        <= MASTER_REQUEST_BYTES_MAX
);

/// Of what a member counted in its part of a table, bytes in one message to the master: half of what that reads, and
/// room for a text with all that is beside it.
pub const LEARNT_PART_BYTES: usize = 128 * 1024;

/// Bytes of what all counted together in one message from the master: a third of what members read.
pub const LEARNT_SUM_PART_BYTES: usize = CONTROL_MESSAGE_BYTES_MAX / 3;

/// Bytes of a text that is counted by name where counts are sent: a part has room for it.
pub const LEARNT_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of what all members of a job counted that the master holds until it can be added up.
pub const LEARNT_BYTES_MAX: usize = 1 << 30;
