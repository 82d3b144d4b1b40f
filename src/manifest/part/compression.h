/* Compression of answers (BackendTrafficPolicy `compressor`): by what, from which size on, and how
 * hard. Immutable after load. Source: Envoy Gateway API, "Compression". */
#pragma once

#include "manifest/common.h"

/* In the order of the libraries' own numbers, as are the two below. */
enum gzip_strategy { GZIP_DEFAULT, GZIP_FILTERED, GZIP_HUFFMAN_ONLY, GZIP_RLE, GZIP_FIXED };
struct gzip_settings {
    struct mark mark;
    struct opt_int compression_level;
    int compression_strategy; /* enum gzip_strategy; -1: not given */
    struct opt_int memory_level;
    struct opt_int window_bits;
    struct opt_int chunk_size;
};

/* Behind Default, which is Generic. */
enum brotli_mode { BROTLI_DEFAULT, BROTLI_GENERIC, BROTLI_TEXT, BROTLI_FONT };
struct brotli_settings {
    struct mark mark;
    struct opt_int quality;
    int encoder_mode; /* enum brotli_mode; -1: not given */
    struct opt_int window_bits;
    struct opt_int input_block_bits;
    struct opt_int chunk_size;
    struct opt_bool disable_literal_context_modeling;
};

struct zstd_settings {
    struct mark mark;
    struct opt_int compression_level;
    struct opt_bool enable_checksum;
    int strategy; /* ZSTD_strategy; 0: the level's; -1: not given */
    struct opt_int chunk_size;
};

enum compression_type { COMPRESSION_GZIP, COMPRESSION_BROTLI, COMPRESSION_ZSTD };
struct compression {
    struct mark mark;
    int type; /* enum compression_type */
    struct opt_int min_content_length;
    struct gzip_settings *gzip;
    struct brotli_settings *brotli;
    struct zstd_settings *zstd;
};
enum { COMPRESSION_MIN_BYTES = 30 /* unless given, and at least */ };
extern const struct table compression_table;
