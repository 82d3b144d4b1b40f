/* For the fixtures of tests: what they need from the system must work, or the test program ends. */
#pragma once

#include "base/assert.h"

#define MUST(expr) ((expr) ? (void)0 : assert_fail("fixture", #expr, __FILE__, __LINE__))
