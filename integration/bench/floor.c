/*
 * floor: what the kernel itself asks for a container, and a measure for one command.
 *
 *   floor measure COMMAND...            runs a command once; prints wall, user and system time in
 *                                       microseconds, peak memory in KiB, and the wait status
 *   floor run ROOTFS CGROUP COMMAND...  runs a command in a container like that of `spec`
 *
 * `run` does the kernel's part of `keel run` for the default configuration with as few system
 * calls as it can: no configuration is read, no state is kept, no error is explained, nothing is
 * checked that an attacker could have prepared. It is the yardstick of the benchmark and must
 * never be used for anything else. `measure` is here and not in the benchmark because the peak
 * memory of a command is never less than that of the program that started it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_HIERARCHIES 16
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The cgroup hierarchies, and the container's entry point into each of them. */
static struct {
	char point[128];
	char options[128];
	char dir[256];
	int entry;
	int v2;
} hierarchy[MAX_HIERARCHIES];
static int hierarchies;
/* The container's cgroup of v2. */
static int birthplace = -1;

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(125);
}

/* ---- measure ------------------------------------------------------------------------------ */

static long long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int measure(char **command)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	struct rusage used;
	long long begun;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	begun = microseconds();
	errno = posix_spawnp(&pid, command[0], &files, NULL, command, environ);
	check(errno != 0, command[0]);
	while (wait4(pid, &status, 0, &used) < 0)
		check(errno != EINTR, "wait4");
	printf("%lld %lld %lld %ld %d\n", microseconds() - begun,
	       used.ru_utime.tv_sec * 1000000LL + used.ru_utime.tv_usec,
	       used.ru_stime.tv_sec * 1000000LL + used.ru_stime.tv_usec, used.ru_maxrss, status);
	return 0;
}

/* ---- cgroups ------------------------------------------------------------------------------ */

static void find_hierarchies(void)
{
	char line[1024];
	FILE *table = fopen("/proc/self/mounts", "r");

	check(!table, "/proc/self/mounts");
	while (fgets(line, sizeof line, table) && hierarchies < MAX_HIERARCHIES) {
		char kind[32];
		int n = hierarchies;

		if (sscanf(line, "%*s %127s %31s %127s", hierarchy[n].point, kind,
			   hierarchy[n].options) != 3)
			continue;
		if (strcmp(kind, "cgroup") && strcmp(kind, "cgroup2"))
			continue;
		hierarchy[n].v2 = !strcmp(kind, "cgroup2");
		hierarchies++;
	}
	fclose(table);
}

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	check(fd < 0 || write(fd, text, strlen(text)) < 0, name);
	close(fd);
}

/* Copies a cpuset's value from the parent, without which no process may enter. */
static void inherit(int dir, const char *parent, const char *name)
{
	char path[320], value[128] = "";
	int fd;

	snprintf(path, sizeof path, "%s/%s", parent, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd < 0 || read(fd, value, sizeof value - 1) < 0, path);
	close(fd);
	put(dir, name, value);
}

static void make_cgroups(const char *cgroup)
{
	static const char *const allowed[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
		"c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm" };

	for (int n = 0; n < hierarchies; n++) {
		int dir;

		snprintf(hierarchy[n].dir, sizeof hierarchy[n].dir, "%s/%s", hierarchy[n].point,
			 cgroup);
		check(mkdir(hierarchy[n].dir, 0755) && errno != EEXIST, hierarchy[n].dir);
		dir = open(hierarchy[n].dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (strstr(hierarchy[n].options, "cpuset")) {
			inherit(dir, hierarchy[n].point, "cpuset.cpus");
			inherit(dir, hierarchy[n].point, "cpuset.mems");
		}
		if (strstr(hierarchy[n].options, "devices")) {
			put(dir, "devices.deny", "a");
			for (size_t rule = 0; rule < COUNT(allowed); rule++)
				put(dir, "devices.allow", allowed[rule]);
		}
		/*
		 * Neither way in waits for an RCU grace period: on v1 a single thread that moves
		 * itself, on v2 a process that is born there.
		 */
		if (hierarchy[n].v2) {
			birthplace = open(hierarchy[n].dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			hierarchy[n].entry = -1;
		} else {
			hierarchy[n].entry = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
			check(hierarchy[n].entry < 0, "tasks");
		}
		close(dir);
	}
}

static pid_t start(unsigned long long flags)
{
	struct {
		unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack,
			stack_size, tls, set_tid, set_tid_size, cgroup;
	} arguments = { .flags = flags, .exit_signal = SIGCHLD };

	if (birthplace >= 0) {
		arguments.flags |= 1ull << 33; /* CLONE_INTO_CGROUP */
		arguments.cgroup = birthplace;
	}
	return syscall(SYS_clone3, &arguments, sizeof arguments);
}

static void enter_cgroups(void)
{
	for (int n = 0; n < hierarchies; n++)
		check(!hierarchy[n].v2 && write(hierarchy[n].entry, "0", 1) != 1, "entering");
}

static void remove_cgroups(void)
{
	for (int n = 0; n < hierarchies; n++)
		while (rmdir(hierarchy[n].dir) && errno == EBUSY)
			usleep(100);
}

/* ---- the container ------------------------------------------------------------------------ */

static void attach(const char *kind, const char *on, unsigned long flags, const char *data)
{
	mkdir(on, 0755);
	check(mount(kind, on, kind, flags, data), on);
}

static void again_read_only(const char *path)
{
	if (mount(path, path, NULL, MS_BIND | MS_REC, NULL))
		return;
	check(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), path);
}

static void make_devices(void)
{
	static const struct {
		const char *path;
		int major, minor;
	} nodes[] = { { "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
		      { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };

	for (size_t n = 0; n < COUNT(nodes); n++)
		check(mknod(nodes[n].path, S_IFCHR | 0666, makedev(nodes[n].major, nodes[n].minor)),
		      nodes[n].path);
	check(symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin") ||
		      symlink("/proc/self/fd/1", "dev/stdout") ||
		      symlink("/proc/self/fd/2", "dev/stderr") || symlink("pts/ptmx", "dev/ptmx"),
	      "links");
}

static void make_cgroup_mounts(void)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char path[160];

	check(mount("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755"), "sys/fs/cgroup");
	for (int n = 0; n < hierarchies; n++) {
		const char *name = strrchr(hierarchy[n].point, '/') + 1;

		snprintf(path, sizeof path, "sys/fs/cgroup/%s", name);
		mkdir(path, 0755);
		check(mount(hierarchy[n].dir, path, NULL, MS_BIND, NULL), path);
		check(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL), path);
	}
	check(mount(NULL, "sys/fs/cgroup", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL),
	      "sys/fs/cgroup");
}

static void build_root(const char *rootfs)
{
	static const char *const masked[] = { "proc/acpi", "proc/asound", "sys/firmware",
					      "proc/scsi" };
	static const char *const hidden[] = { "proc/kcore", "proc/keys", "proc/latency_stats",
					      "proc/timer_list", "proc/timer_stats",
					      "proc/sched_debug" };
	static const char *const fixed[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys",
					     "proc/sysrq-trigger" };
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	struct stat seen;

	check(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "slave");
	check(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL) || chdir(rootfs), rootfs);
	attach("proc", "proc", 0, NULL);
	attach("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	attach("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC,
	       "newinstance,ptmxmode=0666,mode=0620,gid=5");
	attach("tmpfs", "dev/shm", flags, "mode=1777,size=65536k");
	attach("mqueue", "dev/mqueue", flags, NULL);
	attach("sysfs", "sys", flags | MS_RDONLY, NULL);
	make_cgroup_mounts();
	make_devices();
	for (size_t n = 0; n < COUNT(fixed); n++)
		again_read_only(fixed[n]);
	for (size_t n = 0; n < COUNT(masked); n++)
		if (!stat(masked[n], &seen))
			check(mount("tmpfs", masked[n], "tmpfs", MS_RDONLY, NULL), masked[n]);
	for (size_t n = 0; n < COUNT(hidden); n++)
		mount("dev/null", hidden[n], NULL, MS_BIND, NULL);
	check(syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"), "pivot");
	check(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "read-only root");
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request), "lo");
	close(fd);
}

static void drop_privileges(void)
{
	/* The C library that makes the smallest program comes without the kernel's headers. */
	enum { KILL = 5, NET_BIND_SERVICE = 10, AUDIT_WRITE = 29, LAST = 40, VERSION_3 = 0x20080522 };
	const unsigned int kept = 1u << KILL | 1u << NET_BIND_SERVICE | 1u << AUDIT_WRITE;
	struct {
		unsigned int version;
		int pid;
	} header = { VERSION_3, 0 };
	struct {
		unsigned int effective, permitted, inheritable;
	} data[2] = { { kept, kept, 0 }, { 0, 0, 0 } };
	struct rlimit files = { 1024, 1024 };

	check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	for (int cap = 0; cap <= LAST; cap++)
		if (cap > 31 || !(kept & 1u << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	check(syscall(SYS_capset, &header, data), "capset");
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static int run(const char *rootfs, const char *cgroup, char **command)
{
	static char *environment[] = { "PATH=/bin", "TERM=xterm", "HOME=/root", NULL };
	unsigned long spaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			       CLONE_NEWNS;
	int status;
	pid_t pid;

	find_hierarchies();
	make_cgroups(cgroup);
	pid = start(spaces);
	check(pid < 0, "clone3");
	if (pid == 0) {
		enter_cgroups();
		setsid();
		build_root(rootfs);
		loopback_up();
		check(sethostname("floor", 5), "sethostname");
		drop_privileges();
		execve(command[0], command, environment);
		check(1, command[0]);
	}
	check(waitpid(pid, &status, 0) != pid, "waitpid");
	remove_cgroups();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int count, char **words)
{
	if (count > 2 && !strcmp(words[1], "measure"))
		return measure(words + 2);
	if (count > 4 && !strcmp(words[1], "run"))
		return run(words[2], words[3], words + 4);
	fprintf(stderr, "usage: floor measure COMMAND... | floor run ROOTFS CGROUP COMMAND...\n");
	return 2;
}
