/* template_json.h - CPU templates as clients write them: JSON with numbers and bitmaps in strings.
 */
#pragma once
#include "../kvm/template.h"
#include "json.h"

/* 0 and a template, which cpu_template_free() takes back; or -EINVAL, -ENOMEM with `why`. */
int cpu_template_parse(const json_t *v, struct cpu_template **out, char *why, size_t len);
void cpu_template_free(struct cpu_template *t);
/* As JSON again, for GET /vm/config: bitmaps at their full width. */
void cpu_template_put(struct json_out *o, const struct cpu_template *t);
