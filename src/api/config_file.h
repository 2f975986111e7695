/* config_file.h - a machine from one JSON file (--config-file), and its metadata (--metadata). */
#pragma once
#include "api.h"

#define CONFIG_FILE_MAX (4 * MIB)

/*
 * Configures all that the file `path` says, with the metadata of file `metadata` (NULL: none), and
 * starts the machine. 0, or -EINVAL with the sentence in `why`, CONFIG_WHY bytes: then what was
 * configured before the mistake stays.
 */
int config_file_start(struct api *a, const char *path, const char *metadata, char *why);
/* The metadata alone, for a machine that requests describe. Likewise. */
int config_file_metadata(struct api *a, const char *path, char *why);
