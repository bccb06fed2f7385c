/* What the files of the compiled beam search share. */
#ifndef HEYJETSON_SEARCH_H
#define HEYJETSON_SEARCH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

enum { BLANK, LABEL };
enum { OUT_OF_MEMORY = -1 };
enum { LONGEST = 6 }; /* tokens of an n-gram; what flashlight's KenLM is compiled for, too */

/* A language model in KenLM's probing format; the file is mapped, and keys in it need not lie at a multiple of 8. */
typedef struct {
    int32_t order;
    uint32_t words, begin, end; /* how many words, and the numbers of <s> and </s>; 0 is <unk> */
    const float *unigram;       /* [words, 2], base-10 logarithm of the probability and of the backoff */
    const unsigned char *vocabulary, *table[LONGEST - 1];
    uint64_t vocabulary_buckets, buckets[LONGEST - 1];
} Ngram;

/* The last words of a text, the latest first, as far as they matter. */
typedef struct {
    int32_t length, begun; /* begun: a token came */
    uint32_t words[LONGEST - 1];
    float backoff[LONGEST - 1];
} Context;

/* Words by their letters, breadth first: the children of a node follow one another. */
typedef struct {
    int32_t nodes;        /* 0: there are none */
    const int32_t *first; /* [nodes + 1], the first child; the last one stands before the next node's first */
    const int32_t *label; /* [nodes], the letter that leads to it */
    const int32_t *word;  /* [nodes], the number in the language model of the word that ends here, or -1 */
    const double *ahead;  /* [nodes], natural-log probability of the likeliest word that begins so */
} Trie;

/* What a text may go on with and what that brings. All of it belongs to numpy, and nothing of it is ever written. */
typedef struct {
    int32_t labels, space, lexicon, hot, hot_start;
    int32_t pause; /* frames without a letter that end a word for hot words, 0 where none do */
    double alpha, beta, most;
    const Ngram *ngram;
    Trie words, extra;          /* extra: hot words that the language model does not know */
    const uint32_t *tokens;     /* [labels], what a model of characters calls them, and what it calls the space */
    const int32_t *follow;      /* [hot, labels + 1], states of hot words */
    const double *boost;        /* [hot], what arriving there adds */
    const double *promise;      /* [hot], hot words that may come */
} Guide;

/* Where in a word a text is: nodes of the tries, 0 between words, -1 where there is no such word; and the hot words'
 * state. Without a word list node is 1 within words. */
typedef struct {
    int32_t node, extra, hot;
} Spelling;

typedef struct {
    int32_t begin, end, before; /* frames of the last character, and the spoken one before it */
} Place;

typedef struct {
    int32_t text, before, last;
    Spelling spelling;
    double bonus, mass[2], path[2], peak[2];
    Place place[2];
    Context context;
} Entry;

typedef struct {
    int32_t parent, label, length, child, sibling, where;
} Text;

typedef struct {
    int32_t before, length, begin, end;
    double peak;
} Spoken;

typedef struct {
    double score, bonus, reach, path;
    int32_t origin, label; /* label is -1 where the text stays as it is */
    Spelling target;
    int32_t context; /* number among those reached in this frame, -1 where it stays as it is */
} Candidate;

typedef struct {
    int32_t label, begin, end, unused;
    double peak;
} Character;

typedef struct {
    void *data;
    size_t room;
} Buffer;

typedef struct {
    int32_t beam_size, longest_open;
    double beam_threshold, label_threshold;
    int32_t frames, settled, settled_end, entries, texts, spoken;
    Buffer entry, next, text, said, candidate, character, sums, paths, order, labels, map, reached;
} Beam;

int reserve(Buffer *buffer, size_t count, size_t size);

#define RESERVE(buffer, count, type) \
    if (reserve(&(buffer), (size_t)(count), sizeof(type))) return OUT_OF_MEMORY
#define ENTRIES(b) ((Entry *)(b)->entry.data)
#define TEXTS(b) ((Text *)(b)->text.data)
#define SPOKEN(b) ((Spoken *)(b)->said.data)
#define CHARACTERS(b) ((Character *)(b)->character.data)

double logaddexp(double x, double y);
double ranked(const Guide *g, const Entry *e);

/* ngram.c: numbers of words, [count]; their letters are UTF-8 one after the other, and end where `ends` says. */
API void ngram_numbers(const Ngram *m, const unsigned char *letters, const int64_t *ends, int64_t count, int32_t *out);

/* Base-10 logarithm of a word's probability, and the context after it, which may be the same place. */
void ngram_begin(const Ngram *m, Context *out);
float ngram_follow(const Ngram *m, const Context *context, uint32_t word, Context *out);

/* guide.c: all in natural logarithms. */
void guide_start(const Guide *g, Spelling *spelling, Context *context);
double guide_potential(const Guide *g, const Spelling *s);
int guide_follow(
    const Guide *g, const Spelling *s, const Context *context, int32_t label, Spelling *to, Context *after,
    double *score);
int guide_add(
    const Guide *g, const Spelling *s, const Context *context, int32_t label, int paused, Spelling *to, Context *after,
    double *gain);
double guide_finish(const Guide *g, const Spelling *s, const Context *context);

#endif
