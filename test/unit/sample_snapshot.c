#include "sample_snapshot.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FRAMES(array) .frames = (array), .frame_count = COUNT(array)
#define THREADS(array) .threads = (array), .thread_names = COUNT(array)

/* Escape sequences, quotes, line ends, a C1 CSI, a change of direction, bytes that are not UTF-8.
 */
#define HOSTILE                                    \
	"evil\033[2J\"quoted\\\r\nWHERE\t\xc2\x9b" \
	"31m \xe2\x80\xae\xff\xc3(\x7f"
#define LONG_40 "abcdefghijklmnopqrstuvwxyz.0123456789_ABC"
#define LONG_200 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40

#define JAVA(role_, class_, method_, file_, line_)                                      \
	{                                                                               \
		.role = (role_), .text = class_ "." method_ "(" file_ ":" #line_ ")",   \
		.class_name = class_, .method = method_, .file = file_, .line = (line_) \
	}

static const struct sl_frame java_frames[] = {
	{.role = SL_ROLE_RUNTIME,
         .text = "java.net.PlainSocketImpl.socketCreate(Native Method)",
         .class_name = "java.net.PlainSocketImpl",
         .method = "socketCreate"},
	JAVA(SL_ROLE_RUNTIME, "java.net.Socket", "connect", "Socket.java", 633),
	JAVA(SL_ROLE_LIBRARY, "org.apache.http.conn.socket.PlainConnectionSocketFactory",
             "connectSocket", "PlainConnectionSocketFactory.java", 75),
	JAVA(SL_ROLE_LIBRARY, "org.apache.http.impl.execchain.MainClientExec", "establishRoute",
             "MainClientExec.java", 401),
	JAVA(SL_ROLE_LIBRARY, "org.apache.http.impl.client.CloseableHttpClient", "execute",
             "CloseableHttpClient.java", 108),
	JAVA(SL_ROLE_APPLICATION, "LeakyClient", "fetch", "LeakyClient.java", 11),
	JAVA(SL_ROLE_APPLICATION, "LeakyClient", "main", "LeakyClient.java", 24),
};
static const struct sl_frame *const java_stack[] = {
	&java_frames[0], &java_frames[1], &java_frames[2], &java_frames[3],
	&java_frames[4], &java_frames[5], &java_frames[6],
};

static const struct sl_frame native_frames[] = {
	{.role = SL_ROLE_RUNTIME,
         .text = "connect+0x14 (libc.so.6)",
         .function = "connect",
         .module = "/usr/lib/x86_64-linux-gnu/libc.so.6",
         .build_id = "51657f818beb1ae70372216a99b7412b8a100a20",
         .offset = 0x10d9a4},
	{.role = SL_ROLE_APPLICATION,
         .text = HOSTILE "/libflow.so+0x1234",
         .module = "/opt/" HOSTILE "/libflow.so",
         .offset = 0x1234},
	{.role = SL_ROLE_APPLICATION, .module = "/opt/flow/" LONG_200, .offset = 0},
};
static const struct sl_frame *const native_stack[] = {
	&native_frames[0],
	&native_frames[1],
	&native_frames[2],
};

static const struct sl_frame inbound_frames[] = {
	JAVA(SL_ROLE_RUNTIME, "java.net.ServerSocket", "accept", "ServerSocket.java", 533),
	JAVA(SL_ROLE_APPLICATION, "com.example." LONG_200, "serve", "Serve\xc3\xa9.java", 70),
};
static const struct sl_frame *const inbound_stack[] = {&inbound_frames[0], &inbound_frames[1]};

static const char *const java_threads[] = {"main", "pool-1-thread-1", HOSTILE};
static const char *const native_threads[] = {"flow"};

static const struct sl_snapshot_site sites[] = {
	{
		.id = 7,
		.kind = SL_STACK_JAVA,
		.direction = SL_DIRECTION_OUT,
		.verdict = SL_SITE_LEAK,
		.blame = "LeakyClient.fetch(LeakyClient.java:11)",
		.blame_where = "LeakyClient.java:11",
		.blame_frame = 5,
		.opened = 13500,
		.closed = 759,
		.open = 12741,
		.close_wait = 11641,
		.stuck = 11600,
		.retracted = 4,
		.oldest_close_wait_ms = 7110000,
		.piled = 11590,
		.growth_per_min = 97,
		.open_growth_per_min = 98,
		.half_life_ms = SL_UNKNOWN,
		.late_ms_p50 = 64200,
		.last_use_ms = 1200,
		.causes = {[SL_CAUSE_NEVER_LOOKED] = 11641},
		THREADS(java_threads),
		.thread_count = 12,
		FRAMES(java_stack),
	},
	{
		.id = 2,
		.kind = SL_STACK_NATIVE,
		.direction = SL_DIRECTION_OUT,
		.verdict = SL_SITE_LEAK,
		.blame = HOSTILE "/libflow.so+0x1234",
		.blame_frame = 1,
		.opened = 2500,
		.closed = 537,
		.open = 1963,
		.close_wait = 1050,
		.stuck = 1000,
		.oldest_close_wait_ms = 3600000,
		.growth_per_min = -3,
		.open_growth_per_min = 0,
		.half_life_ms = 720000,
		.late_ms_p50 = SL_UNKNOWN,
		.last_use_ms = SL_UNKNOWN,
		.causes = {[SL_CAUSE_EOF_IGNORED] = 950,
                           [SL_CAUSE_UNREAD_DATA] = 100,
                           [SL_CAUSE_DEAD_BUT_OPEN] = 13},
		THREADS(native_threads),
		.thread_count = 1,
		FRAMES(native_stack),
		.frames_cut = 1,
	},
	{
		.id = 0,
		.kind = SL_STACK_NONE,
		.direction = SL_DIRECTION_UNKNOWN,
		.verdict = SL_SITE_LEAK,
		.blame_frame = UINT32_MAX,
		.opened = 60,
		.closed = 5,
		.open = 55,
		.close_wait = 20,
		.stuck = 22,
		.oldest_close_wait_ms = 120000,
		.growth_per_min = SL_UNKNOWN,
		.open_growth_per_min = SL_UNKNOWN,
		.half_life_ms = SL_UNKNOWN,
		.late_ms_p50 = SL_UNKNOWN,
		.last_use_ms = SL_UNKNOWN,
		.causes = {[SL_CAUSE_NEVER_LOOKED] = 20, [SL_CAUSE_DEAD_BUT_OPEN] = 15},
	},
	{
		.id = 9,
		.kind = SL_STACK_JAVA,
		.direction = SL_DIRECTION_IN,
		.verdict = SL_SITE_OK,
		.blame = "com.example." LONG_200 ".serve(Serve\xc3\xa9.java:70)",
		.blame_where = "Serve\xc3\xa9.java:70",
		.blame_frame = 1,
		.opened = 40,
		.closed = 18,
		.open = 22,
		.close_wait = 5,
		.oldest_close_wait_ms = 900,
		.growth_per_min = SL_UNKNOWN,
		.open_growth_per_min = SL_UNKNOWN,
		.half_life_ms = SL_UNKNOWN,
		.late_ms_p50 = SL_UNKNOWN,
		.last_use_ms = SL_UNKNOWN,
		.causes = {[SL_CAUSE_EOF_IGNORED] = 5, [SL_CAUSE_DEAD_BUT_OPEN] = 2},
		FRAMES(inbound_stack),
	},
	{
		.id = 11,
		.kind = SL_STACK_NATIVE,
		.direction = SL_DIRECTION_OUT,
		.verdict = SL_SITE_OK,
		.blame_frame = UINT32_MAX,
		.opened = 8,
		.closed = 1,
		.open = 7, /* the two listeners too */
		.close_wait = 3,
		.oldest_close_wait_ms = SL_UNKNOWN,
		.growth_per_min = SL_UNKNOWN,
		.open_growth_per_min = SL_UNKNOWN,
		.half_life_ms = SL_UNKNOWN,
		.late_ms_p50 = SL_UNKNOWN,
		.last_use_ms = SL_UNKNOWN,
		.causes = {[SL_CAUSE_NEVER_LOOKED] = 3},
		FRAMES(native_stack),
	},
};

static const struct sl_snapshot_peer peers[] = {
	{
		.direction = SL_DIRECTION_OUT,
		.address = "172.21.191.100",
		.port = 8080,
		.open = 12741,
		.close_wait = 11641,
		.stuck = 11600,
		.established = 1100,
		.growth_per_min = 97,
		.idle_before_fin_ms_p50 = 15000,
		.idle_before_fin_ms_p10 = 14990,
		.idle_before_fin_ms_p90 = 15011,
		.idle_before_fin_count = 11641,
		.ports_left = 15491,
		.exhausted_in_ms = 10080000,
	},
	{
		.direction = SL_DIRECTION_OUT,
		.address = "172.21.161.12",
		.port = 28769,
		.open = 1963,
		.close_wait = 1050,
		.stuck = 1000,
		.established = 900,
		.growth_per_min = -3,
		.idle_before_fin_ms_p50 = 30020,
		.idle_before_fin_ms_p10 = 21500,
		.idle_before_fin_ms_p90 = 38000,
		.idle_before_fin_count = 8,
		.ports_left = 26269,
		.exhausted_in_ms = SL_UNKNOWN,
	},
	{
		.direction = SL_DIRECTION_OUT,
		.address = "2001:db8::17",
		.port = 443,
		.open = 55,
		.close_wait = 20,
		.stuck = 22,
		.established = 20,
		.growth_per_min = 0,
		.idle_before_fin_ms_p50 = 500,
		.idle_before_fin_ms_p10 = 500,
		.idle_before_fin_ms_p90 = 500,
		.idle_before_fin_count = 1,
		.ports_left = 28177,
		.exhausted_in_ms = SL_UNKNOWN,
	},
	{
		.direction = SL_DIRECTION_IN,
		.address = "10.0.0.7",
		.port = 8080,
		.open = 22,
		.close_wait = 5,
		.established = 15,
		.growth_per_min = SL_UNKNOWN,
		.idle_before_fin_ms_p50 = 90,
		.idle_before_fin_ms_p10 = 80,
		.idle_before_fin_ms_p90 = 98,
		.idle_before_fin_count = 3,
		.ports_left = SL_UNKNOWN,
		.exhausted_in_ms = SL_UNKNOWN,
	},
	{
		.direction = SL_DIRECTION_OUT,
		.port = SL_UNKNOWN,
		.open = 5,
		.close_wait = 3,
		.established = 2,
		.growth_per_min = SL_UNKNOWN,
		.idle_before_fin_ms_p50 = SL_UNKNOWN,
		.idle_before_fin_ms_p10 = SL_UNKNOWN,
		.idle_before_fin_ms_p90 = SL_UNKNOWN,
		.ports_left = SL_UNKNOWN,
		.exhausted_in_ms = SL_UNKNOWN,
	},
};

static const struct sl_snapshot_socket sockets[] = {
	{
		.fd = 57,
		.cookie = UINT64_MAX,
		.direction = SL_DIRECTION_OUT,
		.state = TCP_CLOSE_WAIT,
		.local = "172.21.0.9:40001",
		.peer = "172.21.191.100:8080",
		.site = 7,
		.age_ms = 7125000,
		.close_wait_ms = 7110000,
		.quiet_ms = 7110000,
		.cause = SL_CAUSE_NEVER_LOOKED,
		.unread_bytes = 31,
		.thread = HOSTILE,
		.shared = true,
		.name = HOSTILE,
		.intended = true,
	},
	{
		.fd = 58,
		.cookie = 9007199254740993u, /* more than a double holds */
		.direction = SL_DIRECTION_IN,
		.state = TCP_ESTABLISHED,
		.local = "[::1]:8080",
		.peer = "[::1]:50000",
		.site = 9,
		.age_ms = 12,
		.close_wait_ms = SL_UNKNOWN,
		.quiet_ms = SL_UNKNOWN,
		.unread_bytes = SL_UNKNOWN,
		.unsent_bytes = SL_UNKNOWN,
		.eof_seen = true,
	},
	{
		.fd = 59,
		.cookie = 3,
		.direction = SL_DIRECTION_UNKNOWN,
		.state = 0,
		.close_wait_ms = SL_UNKNOWN,
		.quiet_ms = 0,
		.unread_bytes = 0,
		.unsent_bytes = 0,
	},
};

static const struct sl_snapshot_listener listeners[] = {
	{.local = "0.0.0.0:8080", .fd = 12, .backlog = 40, .limit = 50},
	{.local = "[::]:8443", .fd = 13, .backlog = 2, .limit = 4096},
};

static const char *const argv[] = {"java", "LeakyClient", HOSTILE, "", NULL};

struct sl_snapshot sample_rich(void)
{
	struct sl_snapshot s = {
		.verdict = SL_VERDICT_LEAK,
		.trigger = SL_TRIGGER_SIGNAL,
		.taken_wall_ms = 1795327387123,
		.deadline_ms = 60000,
		.process = {.pid = 4242,
	                    .exe = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
	                    .name = "java LeakyClient",
	                    .argv = argv,
	                    .started_wall_ms = 1795319407123,
	                    .uptime_ms = 7980000,
	                    .hostname = "web-17",
	                    .is_jvm = true},
		.totals =
			{.opened = 16108,
	                 .closed = 1320,
	                 .open = 14788,
	                 .close_wait = 12719,
	                 .stuck = 12622,
	                 .retracted = 4,
	                 .adopted = 55,
	                 .dropped = 0,
	                 .backlog = 42,
	                 .by_state = {[TCP_ESTABLISHED] = 2037,
	                              [TCP_CLOSE] = 30,
	                              [TCP_CLOSE_WAIT] = 12719,
	                              [TCP_LISTEN] = 2},
	                 .by_kind = {[SL_KIND_TCP] = 14788, [SL_KIND_UDP] = 1, [SL_KIND_UNIX] = 3},
	                 .dead = 30,
	                 .dead_stuck = 22,
	                 .oldest_stuck_ms = 7110000,
	                 .began_after_ms = 485000,
	                 .growth_per_min = 94},
		.limits = {.nofile_soft = 100000,
	                   .nofile_used = 14900,
	                   .port_low = 32768,
	                   .port_high = 60999,
	                   .fds_exhausted_in_ms = 52000000},
		.peers = peers,
		.peer_count = COUNT(peers),
		.sites = sites,
		.site_count = COUNT(sites),
		.sockets = sockets,
		.socket_count = COUNT(sockets),
		.listeners = listeners,
		.listener_count = COUNT(listeners),
	};
	return s;
}

static const char *const healthy_argv[] = {"upload", NULL};

struct sl_snapshot sample_healthy(void)
{
	struct sl_snapshot s = {
		.verdict = SL_VERDICT_OK,
		.trigger = SL_TRIGGER_INTERVAL,
		.taken_wall_ms = 1795327387999,
		.deadline_ms = 60000,
		.process = {.pid = 1234567,
	                    .exe = "/usr/bin/upload",
	                    .name = "upload",
	                    .argv = healthy_argv,
	                    .started_wall_ms = 1795327380000,
	                    .uptime_ms = 7999,
	                    .hostname = "web-17"},
		.totals = {.opened = 12,
	                   .open = 12,
	                   .by_state = {[TCP_ESTABLISHED] = 12},
	                   .by_kind = {[SL_KIND_TCP] = 12},
	                   .oldest_stuck_ms = SL_UNKNOWN,
	                   .began_after_ms = SL_UNKNOWN,
	                   .growth_per_min = SL_UNKNOWN},
		.limits = {.nofile_soft = SL_UNKNOWN,
	                   .nofile_used = SL_UNKNOWN,
	                   .port_low = SL_UNKNOWN,
	                   .port_high = SL_UNKNOWN,
	                   .fds_exhausted_in_ms = SL_UNKNOWN},
	};
	return s;
}

struct sl_snapshot sample_reclaimed(void)
{
	static struct sl_snapshot_site ended[2];
	static struct sl_snapshot_peer left[1];
	static struct sl_snapshot_socket shut[2];
	struct sl_snapshot s = sample_rich();
	ended[0] = s.sites[3]; /* of no blame, and the most open */
	ended[0].close_wait = 0;
	ended[0].oldest_close_wait_ms = SL_UNKNOWN;
	memset(ended[0].causes, 0, sizeof(ended[0].causes));
	ended[1] = s.sites[0];
	ended[1].opened = 14250;
	ended[1].closed = 14230;
	ended[1].open = 20;
	ended[1].close_wait = ended[1].stuck = 0;
	ended[1].reclaimed = 14000;
	ended[1].oldest_close_wait_ms = SL_UNKNOWN;
	memset(ended[1].causes, 0, sizeof(ended[1].causes));
	left[0] = s.peers[0];
	left[0].open = left[0].established = 20;
	left[0].close_wait = left[0].stuck = 0;
	left[0].growth_per_min = 0;
	left[0].idle_before_fin_ms_p50 = left[0].exhausted_in_ms = SL_UNKNOWN;
	left[0].idle_before_fin_ms_p10 = left[0].idle_before_fin_ms_p90 = SL_UNKNOWN;
	left[0].idle_before_fin_count = 0;
	left[0].ports_left = 28212;
	shut[0] = s.sockets[0];
	shut[0].state = TCP_CLOSE;
	shut[0].close_wait_ms = SL_UNKNOWN;
	shut[0].cause = SL_CAUSE_NONE;
	shut[0].shared = false;
	shut[0].rung = SL_RUNG_SHUTDOWN;
	shut[1] = s.sockets[1];
	s.totals.opened = 14290;
	s.totals.closed = 14248;
	s.totals.open = 42;
	s.totals.close_wait = s.totals.stuck = s.totals.dead = s.totals.dead_stuck = 0;
	s.totals.backlog = 0;
	memset(s.totals.by_state, 0, sizeof(s.totals.by_state));
	s.totals.by_state[TCP_ESTABLISHED] = 41;
	s.totals.by_state[TCP_CLOSE] = 1;
	s.totals.by_kind[SL_KIND_TCP] = 42;
	s.totals.oldest_stuck_ms = s.totals.began_after_ms = SL_UNKNOWN;
	s.totals.growth_per_min = 0;
	s.totals.probed = 30;
	s.totals.ended_by_probe = 20;
	s.totals.shutdown = 14000;
	s.totals.neutralized = 13900;
	s.totals.app_reacted = 99;
	s.totals.ended_by_keepalive = 2;
	s.totals.rescued = 1;
	s.limits.nofile_used = 14000;
	s.limits.fds_exhausted_in_ms = SL_UNKNOWN;
	s.reclaim.action = s.reclaim.asked = SL_ACTION_NEUTRALIZE;
	s.sites = ended;
	s.site_count = COUNT(ended);
	s.peers = left;
	s.peer_count = COUNT(left);
	s.sockets = shut;
	s.socket_count = COUNT(shut);
	s.listener_count = 0;
	return s;
}

struct sl_snapshot sample_many(uint32_t n)
{
	static struct sl_snapshot_peer many_peers[SAMPLE_MANY];
	static struct sl_snapshot_site many_sites[SAMPLE_MANY];
	static struct sl_snapshot_listener many_listeners[SAMPLE_MANY];
	struct sl_snapshot s = sample_rich();
	for (uint32_t i = 0; i < n && i < SAMPLE_MANY; i++) {
		many_peers[i] = s.peers[0];
		many_sites[i] = s.sites[0];
		many_listeners[i] = s.listeners[0];
		many_sites[i].frames_cut = 1;
		for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
			many_sites[i].causes[cause] = 12345;
	}
	s.peers = many_peers;
	s.sites = many_sites;
	s.listeners = many_listeners;
	s.peer_count = s.site_count = s.listener_count = n;
	return s;
}
