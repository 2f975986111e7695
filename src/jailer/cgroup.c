/*
 * cgroup.c - control groups of both versions [src/jailer/src/cgroup.rs]. The group of a jail is
 * HIERARCHY/PARENT/ID; version 1 has a hierarchy for each controller, version 2 a single one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../api/os_error.h"
#include "jailer.h"

#define NAME_LEN 64
#define LINE_LEN 4096

/* One --cgroup, taken apart. */
struct setting {
	char file[256];
	char controller[NAME_LEN];
	const char *value;
	char base[PATH_MAX]; /* where the hierarchy is mounted */
};

static struct setting *setting;
static unsigned settings;
static unsigned version;

static const char *parent_of(const struct jail *j)
{
	const char *parent = j->args.val[ARG_PARENT_CGROUP];

	return parent ? parent : j->exec_name;
}

/* Whether a list has the word. */
static bool has_word(const char *list, const char *word, const char *between)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, between);

		if (n == len && !memcmp(list, word, n))
			return true;
		list += n;
		list += *list != '\0';
	}
	return false;
}

/*
 * Where the hierarchy of version 2 is mounted, or those of version 1 for the controllers of the
 * `n` settings: "SOURCE DIR cgroup2 OPTIONS 0 0" [proc(5)]. 0; -1: there is none, failed.
 */
static int find_hierarchies(struct setting *s, unsigned n)
{
	static char line[LINE_LEN], dir[LINE_LEN], options[LINE_LEN];
	const char *wanted = version == 2 ? "cgroup2" : "cgroup";
	FILE *f = fopen("/proc/mounts", "re");
	char type[NAME_LEN];
	bool any = false;

	if (!f)
		return fail_os(errno, "Failed to open file /proc/mounts");
	while ((version == 1 || (version == 2 && !any)) && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %4095s %63s %4095s", dir, type, options) != 3 ||
		    strcmp(type, wanted))
			continue;
		any = true;
		for (unsigned i = 0; i < n; i++)
			if (!*s[i].base &&
			    (version == 2 || has_word(options, s[i].controller, ",")))
				snprintf(s[i].base, sizeof(s[i].base), "%s", dir);
	}
	fclose(f);
	if (!any)
		return fail("Hierarchy not found: No hierarchy found for this cgroup version.");
	for (unsigned i = 0; i < n; i++)
		if (!*s[i].base)
			return fail("Controller %s is unavailable", s[i].controller);
	return 0;
}

/* The first line of a file, without its end. */
static int read_line(const char *path, char line[LINE_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, LINE_LEN - 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return fail_os(err, "Failed to read file %s into a string", path);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

/* 0 or the error. */
static int put_line(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), err = 0;
	char line[LINE_LEN];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (fd < 0)
		return errno;
	if (write(fd, line, MIN((size_t)n, sizeof(line) - 1)) < 0)
		err = errno;
	close(fd);
	return err;
}

static int write_line(const char *path, const char *text)
{
	int err = put_line(path, text);

	return err ? fail_os(err, "Failed to write to %s", path) : 0;
}

/* FILE=VALUE */
static int take_setting(struct setting *s, const char *arg)
{
	const char *eq = strchr(arg, '=');
	size_t len = eq ? (size_t)(eq - arg) : 0;

	if (!eq || !eq[1] || strchr(eq + 1, '=') || len >= sizeof(s->file))
		return fail("Invalid format for cgroups: %s", arg);
	memcpy(s->file, arg, len);
	s->file[len] = '\0';
	s->value = eq + 1;
	if (path_leaves(s->file))
		return fail("Cgroup invalid file: %s", arg);
	len = strcspn(s->file, ".");
	if (!s->file[len] || len >= sizeof(s->controller))
		return fail("Cgroup invalid file: %s", s->file);
	memcpy(s->controller, s->file, len);
	s->controller[len] = '\0';
	return 0;
}

/* Version 2 without any value to set: the parent group itself is joined, if there is one. */
static int join_parent(const struct jail *j)
{
	static struct setting root;
	char group[PATH_MAX], procs[PATH_MAX];
	int err;

	if (find_hierarchies(&root, 1))
		return -1;
	join(group, root.base, parent_of(j));
	if (access(group, F_OK))
		return 0;
	join(procs, group, "cgroup.procs");
	err = put_line(procs, "0"); /* who writes it */
	return err ? fail("Failed to move process to cgroup (%s): %s.\n"
			  "Hint: If you intended to create a child cgroup under %s, pass any "
			  "--cgroup parameters.",
			  group, os_error(err), group)
		   : 0;
}

/* Version 2: which controllers there are is in the hierarchy's root. */
static int check_controllers(void)
{
	char path[PATH_MAX], line[LINE_LEN] = "";

	join(path, setting[0].base, "cgroup.controllers");
	if (access(path, F_OK) == 0 && read_line(path, line))
		return -1;
	for (unsigned i = 0; i < settings; i++)
		if (!has_word(line, setting[i].controller, " "))
			return fail("Controller %s is unavailable", setting[i].controller);
	return 0;
}

int cgroup_prepare(struct jail *j)
{
	const char *given = j->args.val[ARG_CGROUP_VERSION], *arg;
	uint64_t n;
	int pos = 0;

	if (path_leaves(parent_of(j)))
		return fail("Parent cgroup path is invalid. Path should not be absolute or contain "
			    "'..' or '.'");
	if (!args_number(given, UINT8_MAX, &n))
		return fail("%s is an invalid cgroup version specifier", given);
	version = (unsigned)n;
	while (args_next(&j->args, ARG_CGROUP, &pos))
		settings++;
	if (!settings)
		return version == 2 ? join_parent(j) : 0;
	setting = calloc(settings, sizeof(*setting));
	if (!setting)
		return fail_os(ENOMEM, "Failed to set up cgroups");
	pos = 0;
	for (unsigned i = 0; (arg = args_next(&j->args, ARG_CGROUP, &pos)); i++)
		if (take_setting(&setting[i], arg))
			return -1;
	if (find_hierarchies(setting, settings))
		return -1;
	return version == 2 ? check_controllers() : 0;
}

/*
 * Version 1: a file of a new group may be empty, of cpuset say, and then takes no value that its
 * parent's has not. Fills it from the parent's, which is filled first, `depth` groups up. Another
 * jailer may be at the same: what counts is that the parent's is not empty in the end.
 */
static int inherit(const char *group, const char *file, unsigned depth)
{
	char parent[PATH_MAX], path[PATH_MAX], line[LINE_LEN] = "";

	snprintf(parent, sizeof(parent), "%s", group);
	*strrchr(parent, '/') = '\0';
	join(path, parent, file);
	if (read_line(path, line))
		return -1;
	if (!*line && depth && inherit(parent, file, depth - 1) == 0 && read_line(path, line))
		return -1;
	if (!*line)
		return fail("Failed to inherit cgroups configurations from file %s in path %s",
			    file, group);
	join(path, group, file);
	return write_line(path, line);
}

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	for (; *path; path += strcspn(path, "/")) {
		path += strspn(path, "/");
		n += *path && (path[0] != '.' || (path[1] && path[1] != '/'));
	}
	return n;
}

/* Version 2: lets the groups below `group` have the controller, from the top down. */
static int delegate(const char *group, const char *controller)
{
	char control[PATH_MAX], parent[PATH_MAX], text[NAME_LEN + 1];
	char *slash;

	join(control, group, "cgroup.subtree_control");
	if (access(control, F_OK))
		return 0; /* above the hierarchy */
	snprintf(parent, sizeof(parent), "%s", group);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		if (delegate(parent, controller))
			return -1;
	}
	snprintf(text, sizeof(text), "+%s", controller);
	return write_line(control, text);
}

/* Most files take a value as they are; what the groups above lack is looked for when one does not.
 */
static int set_value(const struct jail *j, const struct setting *s, const char *group)
{
	char path[PATH_MAX];

	join(path, group, s->file);
	if (put_line(path, s->value) == 0)
		return 0;
	if (version == 1 && inherit(group, s->file, depth_of(parent_of(j))))
		return -1;
	return write_line(path, s->value);
}

static void group_of(const struct jail *j, const struct setting *s, char group[PATH_MAX])
{
	char parent[PATH_MAX];

	join(parent, s->base, parent_of(j));
	join(group, parent, j->id);
}

static int set(const struct jail *j, const struct setting *s)
{
	char group[PATH_MAX], parent[PATH_MAX];

	group_of(j, s, group);
	join(parent, s->base, parent_of(j));
	if (make_folders(group) || (version == 2 && delegate(parent, s->controller)))
		return -1;
	return set_value(j, s, group);
}

static int enter(const struct jail *j, unsigned n)
{
	char group[PATH_MAX], path[PATH_MAX];

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(setting[i].base, setting[n].base))
			return 0; /* we are in it */
	group_of(j, &setting[n], group);
	join(path, group, version == 1 ? "tasks" : "cgroup.procs");
	return write_line(path, "0");
}

/* First all values, then all groups: cpuset takes no process before it has both of its values. */
int cgroup_enter(const struct jail *j)
{
	for (unsigned i = 0; i < settings; i++)
		if (set(j, &setting[i]))
			return -1;
	for (unsigned i = 0; i < settings; i++)
		if (enter(j, i))
			return -1;
	return 0;
}
