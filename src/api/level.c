/* level.c - the names of log levels, on the command line and in requests. */
#include <strings.h>

#include "logger.h"

bool logger_level(const char *s, enum log_level *level)
{
	static const char *const name[] = {
		[LEVEL_OFF] = "off",   [LEVEL_ERROR] = "error", [LEVEL_WARN] = "warn",
		[LEVEL_INFO] = "info", [LEVEL_DEBUG] = "debug", [LEVEL_TRACE] = "trace",
	};

	if (!strcasecmp(s, "warning"))
		s = "warn";
	for (unsigned i = 0; i < ARRAY_SIZE(name); i++)
		if (!strcasecmp(s, name[i])) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}
