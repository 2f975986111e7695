/* version.h - which Firecracker's interface this is. */
#pragma once

#define FC_VERSION "1.17.0"
