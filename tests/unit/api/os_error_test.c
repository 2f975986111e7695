/* os_error_test.c - the words for an errno are musl's. */
#include "../../../src/api/os_error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../../src/util.h"

static void words_are_musls(void **state)
{
	static const struct {
		int err;
		const char *words;
	} row[] = {
		{ENOENT,       "No such file or directory"    },
		{EACCES,       "Permission denied"            },
		{EMFILE,       "No file descriptors available"},
		{ENOMEM,       "Out of memory"                },
		{EBUSY,        "Resource busy"                },
		{EIO,          "I/O error"                    },
		{ELOOP,        "Symbolic link loop"           },
		{ENAMETOOLONG, "Filename too long"            },
		{EADDRINUSE,   "Address in use"               },
		{EDQUOT,       "Quota exceeded"               },
		{ENOTSUP,      "Not supported"                },
		{ENOTTY,       "Not a tty"                    },
		{EXDEV,        "Cross-device link"            },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		char whole[80];

		snprintf(whole, sizeof(whole), "%s (os error %d)", row[i].words, row[i].err);
		assert_string_equal(os_error(row[i].err), whole);
		assert_string_equal(os_error(-row[i].err), whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_musls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
