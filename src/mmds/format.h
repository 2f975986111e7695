/*
 * format.h - metadata as text: JSON as serde_json writes it, or the lists of EC2's IMDS. No heap,
 * and at most as deep as the value, which the store bounds.
 */
#pragma once
#include <jansson.h>

#include "text.h"

/* Of what json_parse() has read as metadata. Keys come in the order of the object. */
void format_json(struct text *t, json_t *v);
/* A string is itself, an object a list of its keys. false: it is neither. */
bool format_imds(struct text *t, json_t *v);
