/* net_tap_vhost_test.c - the packets of net_tap_test.c, moved by the kernel's vhost-net. */
#define USE_VHOST true
#include "net_tap_test.c"
