/* How a finished routing table lies in memory; shared by route_table.c (writes) and route_cursor.c
 * (reads), nobody else's business.
 *
 *   host -> vhost -> bucket of an exact path or a prefix -> segments -> matches by rank
 *
 * A bucket's matches are split into segments, each sorted by rank: those that require one value of
 * one header are indexed by that value, so that thousands of values behind one prefix cost a lookup
 * and not a walk. What a lookup touches is kept in whole cache lines, because with thousands of
 * routes each line is a miss. The cursor merges the segments by rank, which restores the exact
 * order. */
#pragma once

#include "policy/route_index.h"
#include "policy/route_match.h"

enum {
    ROUTE_SCOPE_HOST,   /* exact host */
    ROUTE_SCOPE_SUFFIX, /* ".example.com" of "*.example.com" */
    ROUTE_SCOPE_FIRST,  /* first of the scopes given out to vhosts and segments */
};

/* Segments of one bucket at most; what finds none stays in the plain list. */
#define ROUTE_MAX_SEGMENTS 7
/* Matches that must share a header before a segment is made for it. */
#define ROUTE_MIN_SHARED 8

enum route_segment_kind {
    ROUTE_SEGMENT_EARLY, /* by value of `name` in the request head */
    ROUTE_SEGMENT_LATE,  /* by value of late header `name` as `auth_group` leaves it */
};

struct route_segment {
    enum route_segment_kind kind;
    uint32_t scope; /* of its values in the index */
    uint32_t auth_group;
    struct field_name name;
    struct route_list all;
};

/* One cache line, its key's text behind it. */
struct route_bucket {
    struct route_key key;
    struct route_list plain;          /* matches without a segment */
    const struct route_match *single; /* what `plain` lists when it is one match */
    const struct route_segment *segments;
    uint32_t n_segments;
};

/* The matches of a segment that require one value. One cache line, its key's text behind it. */
struct route_value {
    struct route_key key;
    struct route_list list;
    const struct route_match *single; /* as above */
};

/* One cache line, its key's text behind it. */
struct route_vhost {
    struct route_key key;
    uint32_t exact_scope; /* of its exact paths; its prefixes have the next one */
    uint16_t max_prefix;  /* bytes */
    bool has_exact;
    uint64_t short_prefixes;        /* bit n: some prefix of n bytes, n < 64 */
    const uint64_t *prefix_lengths; /* the same for all lengths up to max_prefix */
    struct route_list regexes;
};

struct route_table {
    struct route_index index;
    const struct route_vhost *any_host; /* NULL: no match without hosts */
    const struct route_match *const *by_rank;
    size_t n_matches;
    bool has_hosts;
    bool has_suffixes;
    bool has_grpc; /* matches for calls of gRPC */
};
