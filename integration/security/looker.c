/*
 * Looks into every younger process of its PID namespace, over and over, for anything of the host:
 * what a process in a container can do to one that enters the container (CVE-2016-9962).
 *
 * Arguments: the allowed root directories as DEVICE:INODE, and after "--" a text that must not be in
 * any environment. It waits for the file /tmp/begin and writes "ready", then a line for each finding,
 * the first time, and when the file /tmp/end appears "done", how often it saw an init that enters,
 * and how often it could look into one. Compiled statically by security_exec.rs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char **roots;
static const char *secret = "";
static unsigned long seen, looked;

/* Each finding is told once: the output is read in the end. */
static void found(const char *what, const char *target)
{
	static char known[64][512];
	static int count;
	char line[512];
	snprintf(line, sizeof line, "%s %s", what, target);
	for (int i = 0; i < count; i++)
		if (!strcmp(known[i], line))
			return;
	if (count < 64)
		strcpy(known[count++], line);
	printf("found %s\n", line);
	fflush(stdout);
}

/* Whether the way up from a directory ends in a root directory that is allowed. */
static int climbs_to_root(const char *path)
{
	char up[4096], number[64];
	struct stat at;
	int length = snprintf(up, sizeof up, "%s", path);
	for (int i = 0; i < 40; i++)
		length += snprintf(up + length, sizeof up - length, "/..");
	if (stat(up, &at))
		return 1; /* it has ended */
	snprintf(number, sizeof number, "%lu:%lu", (unsigned long)at.st_dev, (unsigned long)at.st_ino);
	for (char **root = roots; *root; root++)
		if (!strcmp(*root, number))
			return 1;
	return 0;
}

/* A file with a name is one of the container's if the same is there under the name. */
static int is_ours(const char *link, const char *target)
{
	struct stat here, there;
	if (!strncmp(target, "/memfd:keel-", 12) || target[0] != '/')
		return 1;
	if (stat(link, &there))
		return 1; /* it has ended */
	return !stat(target, &here) && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static void look_at_link(const char *what, const char *path, int directory)
{
	char target[2048];
	struct stat at;
	long length = readlink(path, target, sizeof target - 1);
	if (length < 0)
		return;
	target[length] = 0;
	if (stat(path, &at))
		return;
	if (directory || S_ISDIR(at.st_mode)) {
		if (!climbs_to_root(path))
			found(what, target);
	} else if (S_ISREG(at.st_mode) && !is_ours(path, target)) {
		found(what, target);
	}
}

static void look_at_text(const char *pid, const char *name)
{
	static char text[65536];
	char path[600];
	snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	long length = read(fd, text, sizeof text - 1);
	close(fd);
	for (long i = 0; i < length; i++)
		if (!text[i])
			text[i] = '\n';
	text[length > 0 ? length : 0] = 0;
	if (!strcmp(name, "environ") && *secret && strstr(text, secret))
		found("environ", secret);
	if (strcmp(name, "maps"))
		return;
	for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
		char *file = strchr(line, '/');
		if (file && strncmp(file, "/memfd:keel-", 12) && access(file, F_OK))
			found("maps", file);
	}
}

static void look_into(const char *pid)
{
	char path[600], comm[32] = "";
	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	long length = read(fd, comm, sizeof comm - 1);
	close(fd);
	int enters = length > 0 && !strcmp(comm, "keel-init\n");
	seen += enters;
	int could = 0; /* a look that comes too late sees the program instead */
	char exe[64] = "";
	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	for (int i = 0; i < (enters ? 2000 : 1); i++) {
		if (readlink(path, exe, sizeof exe - 1) > 0)
			could = !strncmp(exe, "/memfd:keel-init", 16);
		else if (errno == EACCES)
			continue; /* not yet, perhaps */
		break;
	}
	const char *names[] = { "root", "cwd", "exe" };
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, names[i]);
		look_at_link(names[i], path, i < 2);
	}
	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		/* The standard streams are meant for the container. */
		if (!isdigit(entry->d_name[0]) || atoi(entry->d_name) < 3)
			continue;
		snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
		look_at_link("fd", path, 0);
	}
	if (dir)
		closedir(dir);
	look_at_text(pid, "maps");
	look_at_text(pid, "environ");
	looked += could;
}

int main(int argc, char **argv)
{
	int own = getpid();
	(void)argc;
	for (roots = ++argv; *argv; argv++)
		if (!strcmp(*argv, "--")) {
			*argv = 0;
			secret = argv[1] ? argv[1] : "";
			break;
		}
	while (access("/tmp/begin", F_OK))
		usleep(1000);
	puts("ready");
	fflush(stdout);
	while (access("/tmp/end", F_OK)) {
		DIR *dir = opendir("/proc");
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			if (isdigit(entry->d_name[0]) && atoi(entry->d_name) > own)
				look_into(entry->d_name);
		if (dir)
			closedir(dir);
	}
	printf("done %lu %lu\n", seen, looked);
	return 0;
}
