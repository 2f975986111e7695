/*
 * kbd.c - 8042 keyboard controller as in PS/2 [PS/2 HITR, Keyboard and Auxiliary Device Controller]
 * with a keyboard that knows scan code set 2 and one shortcut.
 * Modelled: command byte, output port, self-tests, reset pulse, translation of what the keyboard
 * sends here, all keyboard commands. A controller answer has its own place before the keyboard's
 * bytes and is replaced by the next one, so nothing a guest left unread spoils its next command.
 * Not modelled: the auxiliary port, passwords, sets 1 and 3, key repeat, time on the wire.
 * Board lock held by the caller.
 */
#include "kbd.h"

#include <string.h>

enum { KBD_DATA = 0, KBD_CMD = 4 };

/* Command byte [PS/2 HITR, Controller Command Byte]. */
#define KBD_CONFIG_INT   BIT(0) /* IRQ 1 for each byte */
#define KBD_CONFIG_SYS   BIT(2) /* system flag, shown in the status */
#define KBD_CONFIG_OFF   BIT(4) /* keyboard clock low */
#define KBD_CONFIG_AUX   BIT(5) /* auxiliary clock low */
#define KBD_CONFIG_XLATE BIT(6) /* set 2 to set 1 */

/* Status, 64h. Bit 1, input buffer full, is never set: bytes are taken at once. */
#define KBD_STATUS_OBF     BIT(0)
#define KBD_STATUS_SYS     BIT(2)
#define KBD_STATUS_CMD     BIT(3) /* the last write was to 64h */
#define KBD_STATUS_UNLOCK  BIT(4) /* the keyboard is not locked */
#define KBD_STATUS_AUX     BIT(5) /* the byte is from the auxiliary port */
#define KBD_STATUS_TIMEOUT BIT(6)

/* Output port. */
#define KBD_OUTPORT_RESET BIT(0) /* low resets */
#define KBD_OUTPORT_A20   BIT(1)
#define KBD_OUTPORT_OBF   BIT(4) /* IRQ 1's cause */
#define KBD_OUTPORT_FIXED (KBD_OUTPORT_RESET | KBD_OUTPORT_A20)
#define KBD_OUTPORT_INIT  0xcfu /* both pairs of clock and data idle */

/* Controller commands, 64h. */
#define KBD_CMD_READ_CONFIG  0x20u
#define KBD_CMD_READ_RAM_END 0x3fu
#define KBD_CMD_WRITE_CONFIG 0x60u
#define KBD_CMD_WRITE_END    0x7fu
#define KBD_CMD_TEST_PASSWD  0xa4u
#define KBD_CMD_AUX_OFF      0xa7u
#define KBD_CMD_AUX_ON       0xa8u
#define KBD_CMD_AUX_TEST     0xa9u
#define KBD_CMD_SELF_TEST    0xaau
#define KBD_CMD_KBD_TEST     0xabu
#define KBD_CMD_KBD_OFF      0xadu
#define KBD_CMD_KBD_ON       0xaeu
#define KBD_CMD_READ_INPORT  0xc0u
#define KBD_CMD_READ_OUT     0xd0u
#define KBD_CMD_WRITE_OUT    0xd1u
#define KBD_CMD_WRITE_KBD    0xd2u
#define KBD_CMD_WRITE_AUX    0xd3u
#define KBD_CMD_SEND_AUX     0xd4u
#define KBD_CMD_READ_TEST    0xe0u
#define KBD_CMD_PULSE        0xf0u /* to 0xff: output port bits whose command bit is 0 */

#define KBD_RET_SELF_TEST 0x55u
#define KBD_RET_TEST_OK   0x00u
#define KBD_RET_AUX_STUCK 0x04u /* data line stuck high: nothing pulls it */
#define KBD_RET_NO_PASSWD 0xf1u
#define KBD_RET_INPORT    0x80u /* not locked */

/* Keyboard commands, 60h. */
#define KBD_KEY_LEDS       0xedu
#define KBD_KEY_ECHO       0xeeu
#define KBD_KEY_SCAN_SET   0xf0u
#define KBD_KEY_ID         0xf2u
#define KBD_KEY_RATE       0xf3u
#define KBD_KEY_ENABLE     0xf4u
#define KBD_KEY_DISABLE    0xf5u
#define KBD_KEY_DEFAULTS   0xf6u
#define KBD_KEY_ALL_FIRST  0xf7u /* to 0xfd: key types, which only set 3 has */
#define KBD_KEY_ALL_LAST   0xfdu
#define KBD_KEY_RESEND     0xfeu
#define KBD_KEY_RESET      0xffu
#define KBD_KEY_IS_COMMAND BIT(7) /* no command's data byte has it */

#define KBD_RET_ACK 0xfau
#define KBD_RET_NAK 0xfeu /* resend: not understood */
#define KBD_RET_BAT 0xaau /* power-on test passed */
#define KBD_RET_ID1 0xabu
#define KBD_RET_ID2 0x83u
#define KBD_RET_SET 0x02u

/* Does the keyboard's clock let its bytes through? */
static bool kbd_on(const struct kbd *k)
{
	return !(k->config & KBD_CONFIG_OFF);
}

static bool kbd_full(const struct kbd *k)
{
	return k->reply_status || (kbd_on(k) && k->queue_len);
}

static uint8_t kbd_status(const struct kbd *k)
{
	uint64_t v = k->status | KBD_STATUS_UNLOCK;

	if (k->config & KBD_CONFIG_SYS)
		v |= KBD_STATUS_SYS;
	if (k->reply_status)
		v |= k->reply_status;
	else if (kbd_full(k))
		v |= KBD_STATUS_OBF;
	return (uint8_t)v;
}

static void kbd_update(struct kbd *k)
{
	bool from_aux = k->reply_status & KBD_STATUS_AUX;

	irq_set(&k->irq1, (k->config & KBD_CONFIG_INT) && kbd_full(k) && !from_aux);
}

/* The controller answers; an answer nobody has read is lost. */
static void kbd_reply(struct kbd *k, uint8_t byte, uint64_t status)
{
	k->reply = byte;
	k->reply_status = (uint8_t)(KBD_STATUS_OBF | status);
}

/* Set 2 to set 1, for the few bytes below E0h that answers consist of. */
static uint8_t kbd_xlate(uint8_t byte)
{
	switch (byte) {
	case KBD_RET_ID2: return 0x41;
	case KBD_RET_SET: return 0x41;
	default: return byte;
	}
}

/* The keyboard sends a byte; it is lost if the guest has let KBD_QUEUE of them wait. */
static void kbd_send(struct kbd *k, uint8_t byte)
{
	k->kbd_last = byte;
	if (k->queue_len == KBD_QUEUE)
		return;
	if (k->config & KBD_CONFIG_XLATE)
		byte = kbd_xlate(byte);
	k->queue[(k->queue_head + k->queue_len++) % KBD_QUEUE] = byte;
}

/* `val` is the data byte of the keyboard command `k->kbd_command`. */
static void kbd_key_data(struct kbd *k, uint8_t val)
{
	bool query = k->kbd_command == KBD_KEY_SCAN_SET && val == 0;

	k->kbd_command = 0;
	kbd_send(k, KBD_RET_ACK);
	if (query)
		kbd_send(k, KBD_RET_SET); /* whatever was asked for: there is but one */
}

static void kbd_key_command(struct kbd *k, uint8_t val)
{
	k->kbd_command = 0;
	switch (val) {
	case KBD_KEY_LEDS:
	case KBD_KEY_RATE:
	case KBD_KEY_SCAN_SET: k->kbd_command = val; break;
	case KBD_KEY_ECHO: kbd_send(k, KBD_KEY_ECHO); return;
	case KBD_KEY_RESEND: kbd_send(k, k->kbd_last); return;
	case KBD_KEY_ID:
		kbd_send(k, KBD_RET_ACK);
		kbd_send(k, KBD_RET_ID1);
		kbd_send(k, KBD_RET_ID2);
		return;
	case KBD_KEY_ENABLE: k->scanning = true; break;
	case KBD_KEY_DISABLE: k->scanning = false; break;
	case KBD_KEY_DEFAULTS: break;
	case KBD_KEY_ALL_FIRST ... KBD_KEY_ALL_LAST: break;
	case KBD_KEY_RESET:
		k->scanning = true;
		k->queue_len = 0;
		kbd_send(k, KBD_RET_ACK);
		kbd_send(k, KBD_RET_BAT);
		return;
	default: kbd_send(k, KBD_RET_NAK); return;
	}
	kbd_send(k, KBD_RET_ACK);
}

/* `val` is the data byte of the controller command `cmd`. */
static void kbd_command_data(struct kbd *k, uint8_t cmd, uint8_t val)
{
	switch (cmd) {
	case KBD_CMD_WRITE_CONFIG: k->config = val; break;
	case KBD_CMD_WRITE_OUT:
		k->outport = val | KBD_OUTPORT_FIXED;
		if (!(val & KBD_OUTPORT_RESET))
			power_signal(&k->power, POWER_RESET);
		break;
	case KBD_CMD_WRITE_KBD: kbd_reply(k, val, 0); break;
	/*
	 * Linux and the BSDs take the echo for an auxiliary port only if the status says that it is
	 * from there. No answer at all would cost Linux half a second.
	 */
	case KBD_CMD_WRITE_AUX: kbd_reply(k, val, 0); break;
	case KBD_CMD_SEND_AUX:
		kbd_reply(k, KBD_RET_NAK, KBD_STATUS_AUX | KBD_STATUS_TIMEOUT);
		break;
	default: break; /* controller RAM, which holds nothing else */
	}
}

static uint8_t kbd_outport(const struct kbd *k)
{
	uint8_t v = k->outport;

	CLEAR(v, KBD_OUTPORT_OBF);
	return kbd_full(k) ? v | KBD_OUTPORT_OBF : v;
}

static void kbd_command(struct kbd *k, uint8_t cmd)
{
	switch (cmd) {
	case KBD_CMD_READ_CONFIG: kbd_reply(k, k->config, 0); break;
	case KBD_CMD_READ_CONFIG + 1 ... KBD_CMD_READ_RAM_END: kbd_reply(k, 0, 0); break;
	case KBD_CMD_WRITE_CONFIG ... KBD_CMD_WRITE_END:
	case KBD_CMD_WRITE_OUT ... KBD_CMD_SEND_AUX: k->command = cmd; break;
	case KBD_CMD_TEST_PASSWD: kbd_reply(k, KBD_RET_NO_PASSWD, 0); break;
	case KBD_CMD_AUX_OFF: k->config |= (uint8_t)KBD_CONFIG_AUX; break;
	case KBD_CMD_AUX_ON: CLEAR(k->config, KBD_CONFIG_AUX); break;
	/*
	 * Linux takes 0, FAh and FFh for a working port, FreeBSD 0 to 3 and FAh; this answer ends
	 * the probe of both.
	 */
	case KBD_CMD_AUX_TEST: kbd_reply(k, KBD_RET_AUX_STUCK, 0); break;
	case KBD_CMD_SELF_TEST:
		k->config |= (uint8_t)KBD_CONFIG_SYS;
		kbd_reply(k, KBD_RET_SELF_TEST, 0);
		break;
	case KBD_CMD_KBD_TEST: kbd_reply(k, KBD_RET_TEST_OK, 0); break;
	case KBD_CMD_KBD_OFF: k->config |= (uint8_t)KBD_CONFIG_OFF; break;
	case KBD_CMD_KBD_ON: CLEAR(k->config, KBD_CONFIG_OFF); break;
	case KBD_CMD_READ_INPORT: kbd_reply(k, KBD_RET_INPORT, 0); break;
	case KBD_CMD_READ_OUT: kbd_reply(k, kbd_outport(k), 0); break;
	case KBD_CMD_READ_TEST: kbd_reply(k, 0, 0); break;
	default:
		if (cmd >= KBD_CMD_PULSE && !(cmd & KBD_OUTPORT_RESET))
			power_signal(&k->power, POWER_RESET);
		break;
	}
}

/* Takes the byte that 60h shows. The line falls, and rises again if another byte follows. */
static uint8_t kbd_take(struct kbd *k)
{
	if (k->reply_status) {
		k->last = k->reply;
		k->reply_status = 0;
	} else if (kbd_full(k)) {
		k->last = k->queue[k->queue_head];
		k->queue_head = (uint8_t)((k->queue_head + 1) % KBD_QUEUE);
		k->queue_len--;
	} else {
		return k->last;
	}
	irq_set(&k->irq1, false);
	kbd_update(k);
	return k->last;
}

void kbd_init(struct kbd *k, struct irq_line irq1, struct power_line power)
{
	*k = (struct kbd){
		.config = KBD_CONFIG_INT | KBD_CONFIG_SYS | KBD_CONFIG_AUX | KBD_CONFIG_XLATE,
		.outport = KBD_OUTPORT_INIT,
		.scanning = true,
		.irq1 = irq1,
		.power = power,
	};
}

uint32_t kbd_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct kbd *k = dev;

	if (off != KBD_DATA && off != KBD_CMD)
		return all_ones(size);
	k->used = true;
	return off == KBD_CMD ? kbd_status(k) : kbd_take(k);
}

void kbd_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct kbd *k = dev;
	uint8_t v = (uint8_t)val, cmd = k->command;

	if (off != KBD_DATA && off != KBD_CMD)
		return;
	k->used = true;
	k->status = off == KBD_CMD ? KBD_STATUS_CMD : 0;
	k->command = 0;
	if (off == KBD_CMD) {
		kbd_command(k, v);
	} else if (cmd) {
		kbd_command_data(k, cmd, v);
	} else {
		CLEAR(k->config, KBD_CONFIG_OFF); /* sending to the keyboard starts its clock */
		if (k->kbd_command && !(v & KBD_KEY_IS_COMMAND))
			kbd_key_data(k, v);
		else
			kbd_key_command(k, v);
	}
	kbd_update(k);
}

bool kbd_ctrl_alt_del(struct kbd *k)
{
	/* Left Ctrl, left Alt, Delete: down, then up in reverse. */
	static const uint8_t set1[] = {0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d};
	static const uint8_t set2[] = {0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
				       0x71, 0xf0, 0x11, 0xf0, 0x14};
	bool xlate = k->config & KBD_CONFIG_XLATE;
	const uint8_t *keys = xlate ? set1 : set2;
	unsigned n = xlate ? ARRAY_SIZE(set1) : ARRAY_SIZE(set2);

	if (!k->used || !k->scanning || !kbd_on(k) || !(k->config & KBD_CONFIG_INT) ||
	    KBD_QUEUE - k->queue_len < n)
		return false;
	for (unsigned i = 0; i < n; i++)
		k->queue[(k->queue_head + k->queue_len++) % KBD_QUEUE] = keys[i];
	k->kbd_last = keys[n - 1];
	kbd_update(k);
	return true;
}
