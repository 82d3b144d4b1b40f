/* Decoding of the compression of answers.
 *
 * Owner: the load's arena. Thread: compile thread. Which answers are compressed is left to the
 * gateway; levels and windows are bounded when they are compiled. */
#include "manifest/part/compression.h"

#define CHUNK_RANGE                                                                                \
    &(const struct int_range)                                                                      \
    {                                                                                              \
        4096, 65536                                                                                \
    }

static const char chunk_doc[] = "Size of the library's output buffer; here it grows as it must.";

static const char *const gzip_strategy_names[] = {"Default", "Filtered", "HuffmanOnly",
                                                  "RLE",     "Fixed",    NULL};
static const struct field gzip_settings_fields[] = {
    FIELD_INT(gzip_settings, compression_level, "compressionLevel", 0,
              (&(const struct int_range){1, 9}), "1 is fast, 9 is small; 6 unless given."),
    FIELD_ENUM(gzip_settings, compression_strategy, "compressionStrategy", 0, gzip_strategy_names,
               "What the content is like."),
    FIELD_INT(gzip_settings, memory_level, "memoryLevel", 0, (&(const struct int_range){1, 9}),
              "Memory for its tables; 5 unless given."),
    FIELD_INT(gzip_settings, window_bits, "windowBits", 0, (&(const struct int_range){9, 15}),
              "Size of its window, a power of two; 12 unless given."),
    FIELD_INT(gzip_settings, chunk_size, "chunkSize", FIELD_NOT_ENFORCED, CHUNK_RANGE, chunk_doc),
};
static const struct table gzip_settings_table = TABLE(gzip_settings);

static const char *const brotli_mode_names[] = {"Default", "Generic", "Text", "Font", NULL};
static const struct field brotli_settings_fields[] = {
    FIELD_INT(brotli_settings, quality, "quality", 0, (&(const struct int_range){0, 11}),
              "0 is fast, 11 is small; 3 unless given."),
    FIELD_ENUM(brotli_settings, encoder_mode, "encoderMode", 0, brotli_mode_names,
               "What the content is like."),
    FIELD_INT(brotli_settings, window_bits, "windowBits", 0, (&(const struct int_range){10, 24}),
              "Size of its window, a power of two; 18 unless given."),
    FIELD_INT(brotli_settings, input_block_bits, "inputBlockBits", FIELD_NOT_ENFORCED,
              (&(const struct int_range){16, 24}),
              "Size of its blocks, a power of two; here one ends whenever a read does."),
    FIELD_INT(brotli_settings, chunk_size, "chunkSize", FIELD_NOT_ENFORCED, CHUNK_RANGE, chunk_doc),
    FIELD_BOOL(brotli_settings, disable_literal_context_modeling, "disableLiteralContextModeling",
               0, "Whether it is made to be read faster, and larger."),
};
static const struct table brotli_settings_table = TABLE(brotli_settings);

static const char *const zstd_strategy_names[] = {"Default", "Fast",     "DFast",   "Greedy",
                                                  "Lazy",    "Lazy2",    "BTLazy2", "BTOpt",
                                                  "BTUltra", "BTUltra2", NULL};
static const struct field zstd_settings_fields[] = {
    FIELD_INT(zstd_settings, compression_level, "compressionLevel", 0,
              (&(const struct int_range){1, 22}), "1 is fast, 22 is small; 3 unless given."),
    FIELD_BOOL(zstd_settings, enable_checksum, "enableChecksum", 0,
               "Whether a checksum ends the answer."),
    FIELD_ENUM(zstd_settings, strategy, "strategy", 0, zstd_strategy_names,
               "How matches are looked for; the level's way unless given."),
    FIELD_INT(zstd_settings, chunk_size, "chunkSize", FIELD_NOT_ENFORCED, CHUNK_RANGE, chunk_doc),
};
static const struct table zstd_settings_table = TABLE(zstd_settings);

static const char *const compression_names[] = {"Gzip", "Brotli", "Zstd", NULL};

static void compression_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"gzip", "brotli", "zstd"};
    const struct compression *c = object;
    const struct node *least = node_find(node, "minContentLength");

    for (int i = 0; i < (int)N_ELEMENTS(keys) && c->type >= 0; i++) {
        const struct node *given = node_find(node, keys[i]);

        if (given && i != c->type)
            decode_error(d, DIAG_INVALID_VALUE, given, keys[i], "not allowed with type %s",
                         compression_names[c->type]);
    }
    if (c->min_content_length.is_set && c->min_content_length.value < COMPRESSION_MIN_BYTES)
        decode_warning(d, DIAG_OUT_OF_RANGE, least, "minContentLength",
                       "%d bytes is the least: taken as that", COMPRESSION_MIN_BYTES);
}

static const struct field compression_fields[] = {
    FIELD_ENUM(compression, type, "type", FIELD_REQUIRED, compression_names, "Algorithm."),
    FIELD_QUANTITY(compression, min_content_length, "minContentLength", 0,
                   "Answers below this size are left alone; 30 bytes unless given."),
    FIELD_OBJECT(compression, gzip, "gzip", 0, gzip_settings, "Settings of gzip."),
    FIELD_OBJECT(compression, brotli, "brotli", 0, brotli_settings, "Settings of brotli."),
    FIELD_OBJECT(compression, zstd, "zstd", 0, zstd_settings, "Settings of zstd."),
};
const struct table compression_table = TABLE_CHECKED(compression, compression_check);
