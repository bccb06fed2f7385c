/* What a text may go on with, and what that adds to its score: spelling, language model and hot words, which are
 * apart. The language model is asked where a word ends, or for each letter where it is one of characters. */
#include "search.h"

static const double LN10 = 2.302585092994045684;

static double asked(const Ngram *m, const Context *context, uint32_t word, Context *after) {
    return (double)ngram_follow(m, context, word, after) * LN10;
}

static int32_t child(const Trie *trie, int32_t node, int32_t label) {
    if (node < 0 || node >= trie->nodes) return -1;
    for (int32_t next = trie->first[node]; next < trie->first[node + 1]; next++)
        if (trie->label[next] == label) return next;
    return -1;
}

void guide_start(const Guide *g, Spelling *spelling, Context *context) {
    *spelling = (Spelling){0, 0, g->hot_start};
    if (g->ngram) ngram_begin(g->ngram, context);
    else memset(context, 0, sizeof *context);
}

double guide_potential(const Guide *g, const Spelling *s) {
    double ahead = 0.0;
    if (g->lexicon && s->node) {
        ahead = s->node > 0 ? g->words.ahead[s->node] : -INFINITY;
        if (s->extra > 0 && g->extra.ahead[s->extra] > ahead) ahead = g->extra.ahead[s->extra];
    }
    return g->alpha * ahead + (g->hot ? g->promise[s->hot] : 0.0);
}

static int32_t hot_after(const Guide *g, int32_t hot, int32_t label) {
    return g->hot ? g->follow[(size_t)hot * ((size_t)g->labels + 1) + (size_t)label] : 0;
}

/* The word that ends here as the language model numbers it, -1 where none does. */
static int32_t word_here(const Guide *g, const Spelling *s) {
    int32_t word = s->node > 0 ? g->words.word[s->node] : -1;
    return word < 0 && s->extra > 0 ? g->extra.word[s->extra] : word;
}

/* Returns 0 where the character cannot come, 1 where it does, 2 where `after` is another context. */
int guide_follow(
    const Guide *g, const Spelling *s, const Context *context, int32_t label, Spelling *to, Context *after,
    double *score) {
    *score = 0.0;
    if (label == g->space) {
        if (!s->node) return 0; /* the search takes a second space for silence */
        if (g->lexicon) {
            int32_t word = word_here(g, s);
            if (word < 0) return 0;
            *score = asked(g->ngram, context, (uint32_t)word, after);
        }
        *to = (Spelling){0, 0, hot_after(g, s->hot, label)};
        return g->lexicon ? 2 : 1;
    }
    if (g->lexicon) {
        int32_t node = child(&g->words, s->node, label), extra = child(&g->extra, s->extra, label);
        if (node < 0 && extra < 0) return 0;
        *to = (Spelling){node, extra, hot_after(g, s->hot, label)};
        return 1;
    }
    *to = (Spelling){1, 0, hot_after(g, s->hot, label)};
    if (!g->ngram) return 1;
    /* A space counts when a word follows it: an utterance that ends with one reads like one that does not. */
    if (!s->node && context->begun) {
        *score = asked(g->ngram, context, g->tokens[g->space], after);
        context = after;
    }
    *score += asked(g->ngram, context, g->tokens[label], after);
    return 2;
}

static double gained(const Guide *g, const Spelling *to, int32_t label, double score) {
    return (g->hot ? g->boost[to->hot] : 0.0) + (label == g->space ? g->beta : 0.0) + g->alpha * score;
}

/* What a character adds to the score of a text; behind a pause a space comes first. Returns what guide_follow does. */
int guide_add(
    const Guide *g, const Spelling *s, const Context *context, int32_t label, int paused, Spelling *to, Context *after,
    double *gain) {
    Spelling spaced;
    double score, before = 0.0;
    if (paused) { /* where no language model is asked, so that there is no context to keep */
        if (!guide_follow(g, s, context, g->space, &spaced, after, &score)) return 0;
        before = gained(g, &spaced, g->space, score);
        s = &spaced;
    }
    int came = guide_follow(g, s, context, label, to, after, &score);
    *gain = came ? before + gained(g, to, label, score) : -INFINITY;
    return came;
}

/* What the end of the utterance adds; minus infinity within a word that is none. */
double guide_finish(const Guide *g, const Spelling *s, const Context *context) {
    Context after = *context;
    double gain = 0.0;
    if (!s->node && !context->begun) return 0.0;
    if (s->node) {
        Spelling to;
        double score;
        if (!guide_follow(g, s, context, g->space, &to, &after, &score)) return -INFINITY;
        gain = (g->hot ? g->boost[to.hot] : 0.0) + g->beta + g->alpha * score;
    }
    return gain + (g->ngram ? g->alpha * asked(g->ngram, &after, g->ngram->end, &after) : 0.0);
}
