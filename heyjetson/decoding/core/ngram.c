/* Language models in KenLM's probing format: https://kheafield.com/code/kenlm/structures, read where they lie.
 *
 * Sums are of single precision, in KenLM's order, so that both give the same numbers.
 */
#include "search.h"

static uint64_t whole(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static float real(const unsigned char *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* MurmurHash64A of Austin Appleby, public domain. */
static uint64_t murmur(const unsigned char *text, size_t length) {
    const uint64_t m = 0xc6a4a7935bd1e995ULL;
    uint64_t h = (uint64_t)length * m;
    for (; length >= 8; length -= 8, text += 8) {
        uint64_t k = whole(text) * m;
        k ^= k >> 47;
        h = (h ^ (k * m)) * m;
    }
    if (length) {
        for (size_t i = 0; i < length; i++) h ^= (uint64_t)text[i] << (8 * i);
        h *= m;
    }
    h = (h ^ (h >> 47)) * m;
    return h ^ (h >> 47);
}

static uint64_t combined(uint64_t key, uint32_t word) {
    return (key * 8978948897894561157ULL) ^ ((uint64_t)(word + 1u) * 17894857484156487943ULL);
}

/* The entry of a key in a table, NULL where there is none. */
static const unsigned char *found(const unsigned char *table, uint64_t buckets, size_t width, uint64_t key) {
    uint64_t bucket = key % buckets;
    for (uint64_t tried = 0; tried < buckets; tried++) {
        const unsigned char *entry = table + bucket * width;
        uint64_t got = whole(entry);
        if (got == key) return entry;
        if (!got) return NULL;
        if (++bucket == buckets) bucket = 0;
    }
    return NULL;
}

static float negative(float probability) { /* the sign says that no longer n-gram ends so */
    return signbit(probability) ? probability : -probability;
}

static int extends(float backoff) { return backoff != 0.0f || !signbit(backoff); }

API void ngram_numbers(const Ngram *m, const unsigned char *letters, const int64_t *ends, int64_t count, int32_t *out) {
    int64_t begin = 0;
    for (int64_t i = 0; i < count; begin = ends[i++]) {
        uint64_t key = murmur(letters + begin, (size_t)(ends[i] - begin));
        const unsigned char *entry = found(m->vocabulary, m->vocabulary_buckets, 12, key);
        uint32_t number = 0;
        if (entry) memcpy(&number, entry + 8, sizeof number);
        out[i] = number < m->words ? (int32_t)number : 0;
    }
}

/* Hashes of words, given as to ngram_numbers. */
API void ngram_hashes(const unsigned char *letters, const int64_t *ends, int64_t count, uint64_t *out) {
    int64_t begin = 0;
    for (int64_t i = 0; i < count; begin = ends[i++]) out[i] = murmur(letters + begin, (size_t)(ends[i] - begin));
}

/* Put keys into an empty table of more buckets than keys. Writes where each lies; returns how many were there twice. */
API int64_t ngram_insert(unsigned char *table, uint64_t buckets, int64_t width, const uint64_t *keys, int64_t count,
                         int64_t *places) {
    int64_t twice = 0;
    for (int64_t i = 0; i < count; i++) {
        uint64_t bucket = keys[i] % buckets, got;
        while ((got = whole(table + bucket * (uint64_t)width)) && got != keys[i])
            if (++bucket == buckets) bucket = 0;
        twice += got == keys[i];
        memcpy(table + bucket * (uint64_t)width, &keys[i], sizeof keys[i]);
        places[i] = (int64_t)bucket;
    }
    return twice;
}

void ngram_begin(const Ngram *m, Context *out) {
    memset(out, 0, sizeof *out);
    out->length = 1;
    out->words[0] = m->begin;
    out->backoff[0] = m->unigram[2 * (size_t)m->begin + 1];
}

float ngram_follow(const Ngram *m, const Context *context, uint32_t word, Context *out) {
    Context after;
    const float *unigram = m->unigram + 2 * (size_t)word;
    float probability = unigram[0];
    int independent = signbit(probability) != 0; /* no longer n-gram ends with it */
    int32_t length = 1;                          /* of the longest n-gram that is there */
    uint64_t key = word;
    probability = negative(probability);
    after.begun = 1;
    after.words[0] = word;
    after.backoff[0] = unigram[1];
    after.length = extends(unigram[1]) ? 1 : 0;
    for (int32_t i = 0; i < context->length && !independent; i++) {
        key = combined(key, context->words[i]);
        int last = i + 2 == m->order;
        const unsigned char *entry = found(m->table[i], m->buckets[i], last ? 12 : 16, key);
        if (!entry) break;
        float value = real(entry + 8);
        probability = negative(value);
        length = i + 2;
        if (last) break;
        independent = signbit(value) != 0;
        after.backoff[i + 1] = real(entry + 12);
        if (extends(after.backoff[i + 1])) after.length = i + 2;
    }
    for (int32_t i = length - 1; i < context->length; i++) probability += context->backoff[i];
    for (int32_t i = 1; i < after.length; i++) after.words[i] = context->words[i - 1];
    *out = after;
    return isfinite(probability) ? probability : -1e4f;
}

/* The whole way for tests and perplexities: scores [count] of words that follow one another after `context`. */
API void ngram_scores(const Ngram *m, Context *context, const uint32_t *words, int64_t count, float *scores) {
    for (int64_t i = 0; i < count; i++) scores[i] = ngram_follow(m, context, words[i], context);
}

API void ngram_start(const Ngram *m, Context *context) { ngram_begin(m, context); }
