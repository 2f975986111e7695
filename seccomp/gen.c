/*
 * gen.c - build-time compiler of the policies: text in, a BPF program as a C array out.
 *   gen NAME POLICY...   the policies are taken together; the array is NAME_filter
 * libseccomp does the work here, once, so that loading a filter costs one system call at run time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <seccomp.h>

#define MAX_CONDITIONS 3

static const struct {
	const char *name;
	uint64_t value;
} constant[] = {
	{"KVM_RUN",               KVM_RUN                    },
	{"KVM_INTERRUPT",         KVM_INTERRUPT              },
	{"KVM_SIGNAL_MSI",        KVM_SIGNAL_MSI             },
	{"KVM_SET_GSI_ROUTING",   KVM_SET_GSI_ROUTING        },
	{"KVM_KVMCLOCK_CTRL",     KVM_KVMCLOCK_CTRL          },
	{"KVM_GET_REGS",          KVM_GET_REGS               },
	{"KVM_IOEVENTFD",         KVM_IOEVENTFD              },
	{"KVM_IRQFD",             KVM_IRQFD                  },
	{"TUNSETOFFLOAD",         TUNSETOFFLOAD              },
	{"TUNSETQUEUE",           TUNSETQUEUE                },
	{"VHOST_SET_FEATURES",    VHOST_SET_FEATURES         },
	{"VHOST_SET_VRING_NUM",   VHOST_SET_VRING_NUM        },
	{"VHOST_SET_VRING_BASE",  VHOST_SET_VRING_BASE       },
	{"VHOST_SET_VRING_ADDR",  VHOST_SET_VRING_ADDR       },
	{"VHOST_NET_SET_BACKEND", VHOST_NET_SET_BACKEND      },
	{"AF_UNIX",               AF_UNIX                    },
	{"BLKGETSIZE64",          BLKGETSIZE64               },
	{"F_SETFL",               F_SETFL                    },
	{"TCSETS",                TCSETS                     },
	{"NULL",		  0			  },
	{"STDOUT",                STDOUT_FILENO              },
	{"PROT_NONE",             PROT_NONE                  },
	{"PROT_RW",               PROT_READ | PROT_WRITE     },
	{"MSG_CONSOLE",           MSG_DONTWAIT | MSG_NOSIGNAL},
};

static const char *file;
static unsigned line;

static _Noreturn void die(const char *what, const char *word)
{
	fprintf(stderr, "%s:%u: %s: %s\n", file, line, what, word);
	exit(1);
}

static uint64_t value_of(const char *name)
{
	for (unsigned i = 0; i < sizeof(constant) / sizeof(constant[0]); i++)
		if (!strcmp(constant[i].name, name))
			return constant[i].value;
	die("unknown constant", name);
}

/* "arg1==KVM_RUN" */
static struct scmp_arg_cmp condition(char *word)
{
	char *eq = strstr(word, "==");
	struct scmp_arg_cmp cmp = {0};

	if (strncmp(word, "arg", 3) || !eq || word[3] < '0' || word[3] > '5' || eq != word + 4)
		die("not argN==NAME", word);
	cmp.arg = (unsigned)(word[3] - '0');
	cmp.op = SCMP_CMP_MASKED_EQ;
	cmp.datum_a = 0xffffffff; /* commands and flags are ints */
	cmp.datum_b = value_of(eq + 2);
	if (!strcmp(eq + 2, "NULL")) { /* of a pointer every bit counts */
		cmp.op = SCMP_CMP_EQ;
		cmp.datum_a = 0;
	}
	return cmp;
}

static void rule(scmp_filter_ctx ctx, char *text)
{
	struct scmp_arg_cmp cmp[MAX_CONDITIONS];
	unsigned n = 0;
	char *word = strtok(text, " \t\n");
	int nr, err;

	if (!word)
		return;
	nr = seccomp_syscall_resolve_name(word);
	if (nr == __NR_SCMP_ERROR)
		die("unknown system call", word);
	while ((word = strtok(NULL, " \t\n"))) {
		if (n == MAX_CONDITIONS)
			die("too many conditions", word);
		cmp[n++] = condition(word);
	}
	err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, n, cmp);
	if (err && err != -EEXIST)
		die("libseccomp refuses the rule", strerror(-err));
}

static void policy(scmp_filter_ctx ctx, const char *path)
{
	char text[256];
	FILE *f = fopen(path, "r");

	file = path;
	line = 0;
	if (!f)
		die("cannot open", strerror(errno));
	while (fgets(text, sizeof(text), f)) {
		char *reason = strchr(text, '#');

		line++;
		if (reason)
			*reason = '\0';
		else if (text[0] != '\n')
			die("a rule without a reason", text);
		rule(ctx, text);
	}
	fclose(f);
}

/* libseccomp writes to a descriptor only. */
static void print_array(scmp_filter_ctx ctx, const char *name)
{
	int fd = memfd_create("bpf", 0);
	struct sock_filter f;
	unsigned n = 0;

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		die("cannot export", name);
	printf("/* Generated from the policies in seccomp/. */\n"
	       "static const struct sock_filter %s_filter[] = {\n",
	       name);
	for (; read(fd, &f, sizeof(f)) == sizeof(f); n++)
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
	printf("};\n");
	if (!n)
		die("empty filter", name);
}

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);

	if (argc < 3 || !ctx)
		return 1;
	/* A call from another architecture's entry is killed: no handler may run there. */
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary search */
	for (int i = 2; i < argc; i++)
		policy(ctx, argv[i]);
	print_array(ctx, argv[1]);
	seccomp_release(ctx);
	return 0;
}
