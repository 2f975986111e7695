/* token.c - session tokens: number, end of life in nanoseconds, and the hash of both, in hex. */
#include "token.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "../log.h"

struct token {
	uint64_t number, end;
	uint8_t code[SIPHASH_LEN];
};
_Static_assert(TOKEN_LEN == 2 * sizeof(struct token), "two digits a byte");

int tokens_init(struct tokens *t)
{
	*t = (struct tokens){0};
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
		return log_fail(errno, "metadata service: no random key for its tokens: %s",
				strerror(errno));
	return 0;
}

static void token_code(const struct tokens *t, const struct token *k, uint8_t code[SIPHASH_LEN])
{
	siphash(t->key, k, offsetof(struct token, code), code);
}

void token_make(struct tokens *t, uint32_t ttl, uint64_t now, char text[TOKEN_LEN])
{
	static const char hex[] = "0123456789abcdef";
	struct token k = {.number = t->made++, .end = now + ttl * NSEC};
	uint8_t bytes[sizeof(k)];

	token_code(t, &k, k.code);
	memcpy(bytes, &k, sizeof(k));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		text[2 * i] = hex[bytes[i] >> 4];
		text[2 * i + 1] = hex[bytes[i] & 15];
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool token_valid(const struct tokens *t, const char *text, size_t len, uint64_t now)
{
	uint8_t bytes[sizeof(struct token)], code[SIPHASH_LEN], differ = 0;
	struct token k;

	if (len != TOKEN_LEN)
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(&k, bytes, sizeof(k));
	token_code(t, &k, code);
	for (size_t i = 0; i < sizeof(code); i++) /* all of it, wherever it differs */
		differ |= code[i] ^ k.code[i];
	return differ == 0 && k.end > now;
}
