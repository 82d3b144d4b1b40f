/* Names of response flags, one table (Envoy, "CoreResponseFlag"). Owner: nothing. Any thread. */
#include "telemetry/log_flags.h"

#include "base/buf.h"

static const struct {
    struct str code;
    struct str name;
} log_flag_rows[] = {
    {STR("LH"), STR("FailedLocalHealthCheck")},
    {STR("UH"), STR("NoHealthyUpstream")},
    {STR("UT"), STR("UpstreamRequestTimeout")},
    {STR("LR"), STR("LocalReset")},
    {STR("UR"), STR("UpstreamRemoteReset")},
    {STR("UF"), STR("UpstreamConnectionFailure")},
    {STR("UC"), STR("UpstreamConnectionTermination")},
    {STR("UO"), STR("UpstreamOverflow")},
    {STR("NR"), STR("NoRouteFound")},
    {STR("DI"), STR("DelayInjected")},
    {STR("FI"), STR("FaultInjected")},
    {STR("RL"), STR("RateLimited")},
    {STR("UAEX"), STR("UnauthorizedExternalService")},
    {STR("RLSE"), STR("RateLimitServiceError")},
    {STR("DC"), STR("DownstreamConnectionTermination")},
    {STR("URX"), STR("UpstreamRetryLimitExceeded")},
    {STR("SI"), STR("StreamIdleTimeout")},
    {STR("IH"), STR("InvalidEnvoyRequestHeaders")},
    {STR("DPE"), STR("DownstreamProtocolError")},
    {STR("UMSDR"), STR("UpstreamMaxStreamDurationReached")},
    {STR("RFCF"), STR("ResponseFromCacheFilter")},
    {STR("NFCF"), STR("NoFilterConfigFound")},
    {STR("DT"), STR("DurationTimeout")},
    {STR("UPE"), STR("UpstreamProtocolError")},
    {STR("NC"), STR("NoClusterFound")},
    {STR("OM"), STR("OverloadManagerTerminated")},
    {STR("DF"), STR("DnsResolutionFailed")},
    {STR("DO"), STR("DropOverload")},
    {STR("DR"), STR("DownstreamRemoteReset")},
    {STR("UDO"), STR("UnconditionalDropOverload")},
};

int64_t log_flag_bits(struct str flags)
{
    int64_t bits = 0;
    struct str flag;

    while (str_split(&flags, ',', &flag)) {
        for (size_t i = 0; i < N_ELEMENTS(log_flag_rows); i++) {
            if (str_eq(flag, log_flag_rows[i].code))
                bits |= (int64_t)1 << i;
        }
    }
    return bits;
}

struct str log_flags_long(struct str flags, char scratch[LOG_SCRATCH_BYTES])
{
    int64_t bits = log_flag_bits(flags);
    struct buf words = {scratch, 0, LOG_SCRATCH_BYTES};

    for (size_t i = 0; i < N_ELEMENTS(log_flag_rows); i++) {
        if (!(bits >> i & 1))
            continue;
        if (words.len > 0)
            buf_append_char(&words, ',');
        buf_append_str(&words, log_flag_rows[i].name);
    }
    return words.len > 0 ? buf_str(&words) : STR("-");
}
