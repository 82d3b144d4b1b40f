/* Writes the demo's overlay: Namespaces, Services and EndpointSlices on loopback, the Secret
 * ai-gateway-tls with a self-signed certificate, the Secret model-auth-secret with three passwords,
 * and the demo's own models (ai_overlay.c).
 *
 * Keys and passwords are made here, live in a temporary folder of mode 0700 and go with it. Thread:
 * the launcher's only one. */
#include "demo/overlay.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo/ai_overlay.h"

/* Enough for a demo's password of 20 random characters, quick at every start. */
#define BCRYPT_COST       5
#define PASSWORD_LENGTH   20
#define CERTIFICATE_HOURS 48

struct demo_ports demo_ports_at(int offset)
{
    return (struct demo_ports){.jwt_server = 18080 + offset,
                               .iris = 18081 + offset,
                               .resnet = 18082 + offset,
                               .fallback = 18083 + offset,
                               .ext_auth = 18084 + offset,
                               .chat = 18085 + offset,
                               .http = 10080 + offset,
                               .https = 10443 + offset,
                               .admin = 9901 + offset};
}

static FILE *create_file(const char *folder, const char *name)
{
    char path[512];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)fprintf(stderr, "tollgate-demo: cannot write %s: %s\n", path, strerror(errno));
        return NULL;
    }
    return fdopen(fd, "w");
}

static int close_file(FILE *file)
{
    int r = ferror(file) ? -1 : 0;

    if (fclose(file) != 0)
        r = -1;
    if (r < 0)
        (void)fprintf(stderr, "tollgate-demo: cannot write the overlay: %s\n", strerror(errno));
    return r;
}

static void write_slice(FILE *out, const char *name, const char *namespace, int target)
{
    (void)fprintf(out,
                  "---\n"
                  "apiVersion: discovery.k8s.io/v1\n"
                  "kind: EndpointSlice\n"
                  "metadata:\n"
                  "  name: %s-demo\n"
                  "  namespace: %s\n"
                  "  labels:\n"
                  "    kubernetes.io/service-name: %s\n"
                  "addressType: IPv4\n"
                  "ports:\n"
                  "  - name: http\n"
                  "    port: %d\n"
                  "endpoints:\n"
                  "  - addresses: [127.0.0.1]\n"
                  "    conditions:\n"
                  "      ready: true\n",
                  name, namespace, name, target);
}

static void write_service(FILE *out, const char *name, const char *namespace, int port, int target)
{
    (void)fprintf(out,
                  "---\n"
                  "apiVersion: v1\n"
                  "kind: Service\n"
                  "metadata:\n"
                  "  name: %s\n"
                  "  namespace: %s\n"
                  "spec:\n"
                  "  ports:\n"
                  "    - name: http\n"
                  "      port: %d\n"
                  "      targetPort: %d\n",
                  name, namespace, port, target);
    write_slice(out, name, namespace, target);
}

static void write_places(FILE *out, const struct demo_ports *p)
{
    static const char *const namespaces[] = {
        "envoy-gateway-system", "default",   "tenant-a", "tenant-b", "tenant-c",
        "istio-system",         "monitoring"};

    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
        (void)fprintf(out, "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n",
                      namespaces[i]);
    write_service(out, "jwt-server", "default", 8080, p->jwt_server);
    write_service(out, "sklearn-iris-predictor-default", "tenant-a", 80, p->iris);
    write_service(out, "pytorch-resnet-predictor-default", "tenant-c", 80, p->resnet);
    write_service(out, "istio-ingressgateway", "istio-system", 80, p->fallback);
    write_service(out, "chat-predictor-default", "tenant-b", 80, p->chat);
    /* Its Service stands in the shipped manifests. */
    write_slice(out, "ext-auth-service", "envoy-gateway-system", p->ext_auth);
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    bool is_added;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    is_added = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static X509 *new_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    unsigned char serial[8];
    BIGNUM *number = NULL;
    bool is_made;

    is_made = name && RAND_bytes(serial, sizeof(serial)) == 1 &&
              (number = BN_bin2bn(serial, sizeof(serial), NULL)) != NULL &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
              X509_set_version(cert, 2) == 1 && X509_gmtime_adj(X509_getm_notBefore(cert), -300) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), CERTIFICATE_HOURS * 3600L) &&
              X509_set_pubkey(cert, key) == 1 &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"tollgate demo", -1, -1, 0) == 1 &&
              X509_set_issuer_name(cert, name) == 1 &&
              add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
              X509_sign(cert, key, EVP_sha256()) > 0;
    BN_free(number);
    if (!is_made) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* Writes the PEM text as an indented YAML block. */
static bool write_block(FILE *out, const char *key, BIO *pem)
{
    char line[128];

    (void)fprintf(out, "  %s: |\n", key);
    while (BIO_gets(pem, line, sizeof(line)) > 0)
        (void)fprintf(out, "    %s", line);
    return true;
}

static int write_certificate(FILE *out, FILE *ca)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? new_certificate(key) : NULL;
    BIO *cert_pem = BIO_new(BIO_s_mem());
    BIO *key_pem = BIO_new(BIO_s_mem());
    bool is_written = cert && cert_pem && key_pem && PEM_write_bio_X509(cert_pem, cert) == 1 &&
                      PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                      PEM_write_X509(ca, cert) == 1;

    if (is_written) {
        (void)fprintf(out, "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata:\n"
                           "  name: ai-gateway-tls\n  namespace: envoy-gateway-system\n"
                           "stringData:\n");
        is_written = write_block(out, "tls.crt", cert_pem) && write_block(out, "tls.key", key_pem);
    } else {
        (void)fprintf(stderr, "tollgate-demo: no certificate could be made\n");
    }
    BIO_free(cert_pem);
    BIO_free(key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return is_written ? 0 : -1;
}

static int write_password(FILE *out, FILE *passwords, const char *user)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    unsigned char random[PASSWORD_LENGTH + 16];
    char password[PASSWORD_LENGTH + 1] = "";
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = calloc(1, sizeof(*data));
    const char *hash = NULL;

    if (data && RAND_bytes(random, sizeof(random)) == 1) {
        for (size_t i = 0; i < PASSWORD_LENGTH; i++)
            password[i] = letters[random[i] % (sizeof(letters) - 1)];
        if (crypt_gensalt_rn("$2y$", BCRYPT_COST, (const char *)random + PASSWORD_LENGTH, 16,
                             setting, sizeof(setting)))
            hash = crypt_rn(password, setting, data, (int)sizeof(*data));
    }
    if (hash) {
        (void)fprintf(out, "    %s:%s\n", user, hash);
        (void)fprintf(passwords, "%s:%s\n", user, password);
    } else {
        (void)fprintf(stderr, "tollgate-demo: no password could be hashed\n");
    }
    free(data);
    return hash ? 0 : -1;
}

static int write_passwords(FILE *out, FILE *passwords)
{
    int r = 0;

    (void)fprintf(out, "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: model-auth-secret\n"
                       "  namespace: envoy-gateway-system\nstringData:\n  .htpasswd: |\n");
    for (char letter = 'a'; letter <= 'c' && r == 0; letter++) {
        char user[16];

        (void)snprintf(user, sizeof(user), "tenant-%c", letter);
        r = write_password(out, passwords, user);
    }
    return r;
}

int overlay_write(const char *folder, const struct demo_ports *ports)
{
    FILE *out = create_file(folder, "overlay.yaml");
    FILE *ca = create_file(folder, "ca.pem");
    FILE *passwords = create_file(folder, "passwords.txt");
    int r = out && ca && passwords ? 0 : -1;

    if (r == 0) {
        (void)fprintf(out, "# Written by tollgate-demo for one run; it is removed at its end.\n");
        write_places(out, ports);
        ai_overlay_write(out);
        r = write_certificate(out, ca);
    }
    if (r == 0)
        r = write_passwords(out, passwords);
    if (out && close_file(out) < 0)
        r = -1;
    if (ca && close_file(ca) < 0)
        r = -1;
    if (passwords && close_file(passwords) < 0)
        r = -1;
    return r;
}
