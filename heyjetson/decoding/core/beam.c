/* The compiled beam search: what heyjetson/decoding/beam.py does with numpy, frame by frame, with the same results.
 *
 * Sums are added in numpy's order and logaddexp is numpy's, so that both agree to the last bits; it must be compiled
 * without contraction of sums and products (-ffp-contract=off) and without -ffast-math.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef SOURCE_HASH
#define SOURCE_HASH "unknown"
#endif
#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

enum { BLANK, LABEL };
enum { OUT_OF_MEMORY = -1 };

/* FusionGraph as the search reads it; the tables belong to numpy. */
typedef struct {
    int32_t labels, space;
    double alpha, beta, most;
    const double *score;   /* [states, labels], not a number where it is not known yet */
    const int32_t *target; /* [states, labels] */
    const double *arrive;  /* [states], what hot words add there */
    const double *ahead;   /* [states], the language model's best of the words that may come */
    const double *promise; /* [states], hot words that may come */
} Guide;

typedef struct {
    int32_t begin, end, before; /* frames of the last character, and the spoken one before it */
} Place;

typedef struct {
    int32_t text, before, last, state;
    double bonus, mass[2], path[2], peak[2];
    Place place[2];
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
    int32_t origin, label, target; /* label is -1 where the text stays as it is */
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
    int32_t frames, settled, settled_end, entries, texts, spoken, characters, misses;
    Buffer entry, next, text, said, candidate, character, sums, paths, order, labels, map, missing;
} Beam;

static int reserve(Buffer *buffer, size_t count, size_t size) {
    if (count * size <= buffer->room) return 0;
    size_t room = buffer->room * 2 > count * size ? buffer->room * 2 : count * size;
    if (room < 1024) room = 1024;
    void *data = realloc(buffer->data, room);
    if (!data) return OUT_OF_MEMORY;
    buffer->data = data;
    buffer->room = room;
    return 0;
}

#define RESERVE(buffer, count, type) \
    if (reserve(&(buffer), (size_t)(count), sizeof(type))) return OUT_OF_MEMORY
#define ENTRIES(b) ((Entry *)(b)->entry.data)
#define TEXTS(b) ((Text *)(b)->text.data)
#define SPOKEN(b) ((Spoken *)(b)->said.data)
#define CHARACTERS(b) ((Character *)(b)->character.data)

static double logaddexp(double x, double y) {
    if (x == y) return x + 0.693147180559945309417232121458176568; /* infinities of the same sign, too */
    double difference = x - y;
    return difference > 0 ? x + log1p(exp(-difference)) : y + log1p(exp(difference));
}

static double potential(const Guide *g, int32_t state) { return g->alpha * g->ahead[state] + g->promise[state]; }

static double ranked(const Guide *g, const Entry *e) {
    return logaddexp(e->mass[BLANK], e->mass[LABEL]) + e->bonus + potential(g, e->state);
}

/* The `rank`-th largest of `count` values, from 0; they are put in another order. */
static double largest(double *values, int32_t count, int32_t rank) {
    int32_t low = 0, high = count - 1;
    while (low < high) {
        double pivot = values[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (values[i] > pivot) i++;
            while (values[j] < pivot) j--;
            if (i <= j) {
                double other = values[i];
                values[i++] = values[j];
                values[j--] = other;
            }
        }
        if (rank <= j) high = j;
        else if (rank >= i) low = i;
        else break;
    }
    return values[rank];
}

API const char *beam_source(void) { return SOURCE_HASH; }

API void beam_free(Beam *b) {
    if (!b) return;
    Buffer *all[] = {&b->entry, &b->next, &b->text, &b->said, &b->candidate, &b->character,
                     &b->sums, &b->paths, &b->order, &b->labels, &b->map, &b->missing};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
    free(b);
}

/* Begin an utterance. */
API int beam_reset(Beam *b, int32_t space, int32_t state) {
    RESERVE(b->entry, 1, Entry);
    RESERVE(b->text, 1, Text);
    b->frames = b->settled = b->settled_end = b->spoken = b->characters = b->misses = 0;
    b->entries = b->texts = 1;
    TEXTS(b)[0] = (Text){-1, space, 0, -1, -1, -1};
    Place nowhere = {-1, -1, -1};
    ENTRIES(b)[0] = (Entry){0, -1, space, state, 0.0, {-INFINITY, 0.0}, {-INFINITY, 0.0}, {0.0, 0.0}, {nowhere, nowhere}};
    return 0;
}

API Beam *beam_new(int32_t beam_size, double beam_threshold, double label_threshold, int32_t longest_open) {
    Beam *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->beam_size = beam_size;
    b->beam_threshold = beam_threshold;
    b->label_threshold = label_threshold;
    b->longest_open = longest_open;
    return b;
}

/* The text with one more character; -1 where there is none. */
static int32_t longer(const Beam *b, int32_t text, int32_t label) {
    const Text *texts = TEXTS(b);
    int32_t child = texts[text].child;
    while (child >= 0 && texts[child].label != label) child = texts[child].sibling;
    return child;
}

static int32_t lengthen(Beam *b, int32_t text, int32_t label) {
    int32_t child = longer(b, text, label);
    if (child >= 0) return child;
    RESERVE(b->text, b->texts + 1, Text);
    Text *texts = TEXTS(b);
    child = b->texts++;
    texts[child] = (Text){text, label, texts[text].length + 1, -1, texts[text].child, -1};
    texts[text].child = child;
    return child;
}

/* Note the last character of an entry as it stood before this frame; room is reserved by the caller. */
static int32_t speak(Beam *b, const Entry *e, int again) {
    if (e->text == b->settled) return -1;
    int way = e->path[LABEL] > e->path[BLANK] && !again ? LABEL : BLANK;
    const Place *place = &e->place[way];
    int32_t length = TEXTS(b)[e->text].length;
    SPOKEN(b)[b->spoken] = (Spoken){place->before, length, place->begin, place->end, e->peak[way]};
    return b->spoken++;
}

static void stay(const Guide *g, const double *row, int32_t frames, const Entry *e, Entry *after, double sum, double path) {
    double blank = row[g->labels], letter = row[e->last];
    int from_label = e->path[LABEL] > e->path[BLANK];
    *after = *e;
    if (e->last == g->space) { /* a space after a space, or before all, is silence */
        double space = g->space < g->labels ? row[g->space] : -INFINITY;
        after->mass[BLANK] = after->path[BLANK] = -INFINITY;
        after->mass[LABEL] = sum + logaddexp(blank, space);
        after->path[LABEL] = path + (blank > space ? blank : space);
    } else {
        after->mass[BLANK] = sum + blank;
        after->mass[LABEL] = e->mass[LABEL] + letter;
        after->path[BLANK] = path + blank;
        after->path[LABEL] = e->path[LABEL] + letter;
    }
    if (from_label) {
        after->peak[BLANK] = e->peak[LABEL];
        after->place[BLANK] = e->place[LABEL];
    }
    if (letter > after->peak[LABEL]) after->peak[LABEL] = letter;
    after->place[LABEL].end = frames + 1;
}

/* Which candidates go on: the best, of equal ones the older. Returns how many, their numbers in `order`. */
static int32_t prune(Beam *b, const Candidate *candidates, int32_t count, double *scratch, int32_t *order) {
    double top = -INFINITY;
    for (int32_t i = 0; i < count; i++)
        if (candidates[i].score > top) top = candidates[i].score;
    double limit = top - b->beam_threshold;
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++)
        if (candidates[i].score > limit) {
            scratch[kept] = candidates[i].score;
            order[kept++] = i;
        }
    if (kept <= b->beam_size) return kept;
    double least = largest(scratch, kept, b->beam_size - 1);
    int32_t above = 0, chosen = 0;
    for (int32_t i = 0; i < kept; i++) above += candidates[order[i]].score > least;
    int32_t equal = b->beam_size - above;
    for (int32_t i = 0; i < kept; i++) {
        double score = candidates[order[i]].score;
        if (score > least || (score == least && equal-- > 0)) order[chosen++] = order[i];
    }
    return chosen;
}

/* One frame, [labels + 1], the blank last. Returns 1 where the guide's tables must be filled first. */
static int step(Beam *b, const Guide *g, const double *row) {
    int32_t n = b->entries, count = 0, said = b->spoken;
    RESERVE(b->next, n, Entry);
    RESERVE(b->sums, n, double);
    RESERVE(b->paths, n, double);
    RESERVE(b->labels, g->labels, int32_t);
    int32_t *labels = b->labels.data;
    for (int32_t k = 0; k < g->labels; k++)
        if (row[k] > b->label_threshold) labels[count++] = k;
    size_t most = (size_t)n * (size_t)(count + 1);
    RESERVE(b->candidate, most, Candidate);
    RESERVE(b->order, most * 2, double); /* scores, then numbers */
    RESERVE(b->said, (size_t)said + most, Spoken);
    Entry *old = ENTRIES(b), *after = b->next.data;
    double *sums = b->sums.data, *paths = b->paths.data, *scratch = b->order.data;
    Candidate *candidates = b->candidate.data;
    Text *texts = TEXTS(b);
    for (int32_t i = 0; i < n; i++) {
        sums[i] = logaddexp(old[i].mass[BLANK], old[i].mass[LABEL]);
        paths[i] = old[i].path[LABEL] > old[i].path[BLANK] ? old[i].path[LABEL] : old[i].path[BLANK];
        stay(g, row, b->frames, &old[i], &after[i], sums[i], paths[i]);
    }
    if (!count) goto done;
    for (int32_t i = 0; i < n; i++) texts[old[i].text].where = i;
    /* What comes from a shorter text that is in the beam, too. */
    for (int32_t j = 0; j < n; j++) {
        int32_t label = old[j].last, i = old[j].before >= 0 ? texts[old[j].before].where : -1;
        if (i < 0 || label >= g->labels || !(row[label] > b->label_threshold)) continue;
        int again = old[i].last == label; /* the same character twice needs a blank between */
        double path = (again ? old[i].path[BLANK] : paths[i]) + row[label];
        after[j].mass[LABEL] = logaddexp(after[j].mass[LABEL], (again ? old[i].mass[BLANK] : sums[i]) + row[label]);
        if (path > after[j].path[LABEL]) {
            after[j].path[LABEL] = path;
            after[j].peak[LABEL] = row[label];
            after[j].place[LABEL] = (Place){b->frames, b->frames + 1, speak(b, &old[i], again)};
        }
    }
    double limit = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        double score = ranked(g, &after[i]);
        candidates[i] = (Candidate){score, 0.0, 0.0, 0.0, i, -1, 0};
        scratch[i] = score;
        if (score > limit) limit = score;
    }
    limit -= b->beam_threshold;
    if (n >= b->beam_size) {
        double least = largest(scratch, n, b->beam_size - 1);
        if (least > limit) limit = least;
    }
    int32_t total = n;
    b->misses = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t c = 0; c < count; c++) {
            int32_t label = labels[c];
            int again = old[i].last == label;
            double reach = (again ? old[i].mass[BLANK] : sums[i]) + row[label];
            /* What cannot come into the beam even with the most that may be added needs no language model. */
            if (reach == -INFINITY || !(reach + old[i].bonus >= limit - g->most)) continue;
            int32_t child = longer(b, old[i].text, label);
            if (child >= 0 && texts[child].where >= 0) continue;
            size_t cell = (size_t)old[i].state * (size_t)g->labels + (size_t)label;
            double score = g->score[cell];
            if (isnan(score)) {
                if (reserve(&b->missing, 2 * ((size_t)b->misses + 1), sizeof(int32_t))) {
                    for (int32_t j = 0; j < n; j++) texts[old[j].text].where = -1;
                    return OUT_OF_MEMORY;
                }
                int32_t *missing = b->missing.data;
                missing[2 * b->misses] = old[i].state;
                missing[2 * b->misses + 1] = label;
                b->misses++;
                continue;
            }
            if (score == -INFINITY) continue;
            int32_t target = g->target[cell];
            double bonus = old[i].bonus + (g->arrive[target] + (label == g->space ? g->beta : 0.0) + g->alpha * score);
            double path = (again ? old[i].path[BLANK] : paths[i]) + row[label];
            candidates[total++] = (Candidate){reach + bonus + potential(g, target), bonus, reach, path, i, label, target};
        }
    }
    for (int32_t i = 0; i < n; i++) texts[old[i].text].where = -1;
    if (b->misses) {
        b->spoken = said;
        return 1;
    }
    int32_t *order = (int32_t *)(scratch + total);
    int32_t kept = prune(b, candidates, total, scratch, order);
    RESERVE(b->next, kept > n ? kept : n, Entry);
    after = b->next.data;
    for (int32_t place = 0; place < kept; place++) {
        const Candidate *c = &candidates[order[place]];
        if (c->label < 0) { /* never before its own place: those that stay come first, in their order */
            after[place] = after[c->origin];
            continue;
        }
        const Entry *e = &old[c->origin];
        int32_t text = lengthen(b, e->text, c->label);
        if (text < 0) return OUT_OF_MEMORY;
        Place fresh = {b->frames, b->frames + 1, speak(b, e, e->last == c->label)};
        double peak = row[c->label];
        after[place] = (Entry){text, e->text, c->label, c->target, c->bonus, {-INFINITY, c->reach},
                               {-INFINITY, c->path}, {peak, peak}, {fresh, fresh}};
    }
    n = kept;
done:;
    Buffer swap = b->entry;
    b->entry = b->next;
    b->next = swap;
    b->entries = n;
    b->frames++;
    return 0;
}

/* Rows [frames, labels + 1]. Returns how many are done: fewer than given where the tables miss something. */
API int32_t beam_run(Beam *b, const Guide *g, const double *rows, int32_t frames) {
    b->misses = 0;
    for (int32_t t = 0; t < frames; t++) {
        int result = step(b, g, rows + (size_t)t * (size_t)(g->labels + 1));
        if (result < 0) return result;
        if (result) return t;
    }
    return frames;
}

API int32_t beam_missing(const Beam *b, const int32_t **pairs) {
    *pairs = b->missing.data;
    return b->misses;
}

API int32_t beam_best(const Beam *b, const Guide *g) {
    int32_t best = 0;
    double top = -INFINITY;
    for (int32_t i = 0; i < b->entries; i++) {
        double score = ranked(g, &ENTRIES(b)[i]);
        if (score > top) top = score, best = i;
    }
    return best;
}

static int likelier(const Entry *e) { return e->path[LABEL] > e->path[BLANK] ? LABEL : BLANK; }

/* What an entry has after the settled text. Returns how many characters; -1 without memory. */
API int32_t beam_characters(Beam *b, int32_t number, const Character **out) {
    const Entry *e = &ENTRIES(b)[number];
    const Text *texts = TEXTS(b);
    int way = likelier(e);
    int32_t count = texts[e->text].length - texts[b->settled].length;
    RESERVE(b->character, count, Character);
    Character *characters = CHARACTERS(b);
    Character c = {0, e->place[way].begin, e->place[way].end, 0, e->peak[way]};
    int32_t before = e->place[way].before, text = e->text;
    for (int32_t place = count - 1; place >= 0; place--, text = texts[text].parent) {
        c.label = texts[text].label;
        characters[place] = c;
        if (before >= 0) {
            const Spoken *s = &SPOKEN(b)[before];
            c.begin = s->begin;
            c.end = s->end;
            c.peak = s->peak;
            before = s->before;
        } else {
            c.begin = c.end = 0;
            c.peak = 0.0;
        }
    }
    /* Where the text had to be settled early, the likeliest way may say the next character before its end. */
    int32_t floor = b->settled_end;
    for (int32_t place = 0; place < count; place++) {
        if (characters[place].begin < floor) characters[place].begin = floor;
        floor = characters[place].end > characters[place].begin ? characters[place].end : characters[place].begin;
        characters[place].end = floor;
    }
    *out = characters;
    return count;
}

/* Whether a spoken character stands after the settled text. */
static int open(const Beam *b, int32_t number) {
    return number >= 0 && SPOKEN(b)[number].length > TEXTS(b)[b->settled].length;
}

/* Drop the texts and spoken characters that no entry comes from. */
static int forget(Beam *b) {
    int32_t texts = b->texts, spoken = b->spoken;
    RESERVE(b->map, texts > spoken ? texts : spoken, int32_t);
    int32_t *map = b->map.data;
    Entry *entries = ENTRIES(b);
    Text *text = TEXTS(b);
    memset(map, 0, sizeof(int32_t) * (size_t)texts);
    map[b->settled] = 1;
    for (int32_t i = 0; i < b->entries; i++)
        for (int32_t t = entries[i].text; !map[t]; t = text[t].parent) map[t] = 1;
    int32_t made = 0;
    for (int32_t t = 0; t < texts; t++) { /* shorter ones have lower numbers */
        if (!map[t]) {
            map[t] = -1;
            continue;
        }
        Text moved = text[t];
        int32_t parent = t == b->settled ? -1 : map[moved.parent];
        map[t] = made;
        text[made] = (Text){parent, moved.label, moved.length, -1, parent < 0 ? -1 : text[parent].child, -1};
        if (parent >= 0) text[parent].child = made;
        made++;
    }
    b->texts = made;
    b->settled = map[b->settled];
    for (int32_t i = 0; i < b->entries; i++) {
        entries[i].text = map[entries[i].text];
        entries[i].before = text[entries[i].text].parent;
    }
    Spoken *said = SPOKEN(b);
    if (spoken) memset(map, 0, sizeof(int32_t) * (size_t)spoken);
    for (int32_t i = 0; i < b->entries; i++)
        for (int way = BLANK; way <= LABEL; way++)
            for (int32_t s = entries[i].place[way].before; open(b, s) && !map[s]; s = said[s].before) map[s] = 1;
    made = 0;
    for (int32_t s = 0; s < spoken; s++) {
        if (!map[s]) {
            map[s] = -1;
            continue;
        }
        Spoken moved = said[s];
        moved.before = moved.before < 0 ? -1 : map[moved.before];
        map[s] = made;
        said[made++] = moved;
    }
    b->spoken = made;
    for (int32_t i = 0; i < b->entries; i++)
        for (int way = BLANK; way <= LABEL; way++)
            if (entries[i].place[way].before >= 0) entries[i].place[way].before = map[entries[i].place[way].before];
    return 0;
}

/* Settle what all ways of saying all texts agree on. Returns how many characters that is, or -1. */
API int32_t beam_settle(Beam *b, const Guide *g, const Character **out) {
    int32_t best = beam_best(b, g), count = beam_characters(b, best, out), ripe = 0, shared = 0;
    if (count < 0) return count;
    Entry *entries = ENTRIES(b);
    const Text *texts = TEXTS(b);
    while (ripe < count && CHARACTERS(b)[ripe].begin < b->frames - b->longest_open) ripe++;
    if (ripe) { /* texts that begin otherwise are given up */
        int32_t text = entries[best].text, kept = 0;
        for (int32_t i = ripe; i < count; i++) text = texts[text].parent;
        for (int32_t i = 0; i < b->entries; i++) {
            int32_t other = entries[i].text;
            while (texts[other].length > texts[text].length) other = texts[other].parent;
            if (other == text) entries[kept++] = entries[i];
        }
        b->entries = kept;
        best = beam_best(b, g);
        count = beam_characters(b, best, out);
        if (count < 0) return count;
    }
    /* How far back all ways of all entries come together with the likeliest of the best. */
    RESERVE(b->map, b->spoken + 1, int32_t);
    int32_t *place = b->map.data;
    memset(place, 0, sizeof(int32_t) * ((size_t)b->spoken + 1));
    int32_t first = entries[best].place[likelier(&entries[best])].before;
    for (int32_t s = first; open(b, s); s = SPOKEN(b)[s].before) shared++;
    int32_t number = shared;
    for (int32_t s = first; open(b, s); s = SPOKEN(b)[s].before) place[s] = number--;
    for (int32_t i = 0; i < b->entries && shared; i++)
        for (int way = BLANK; way <= LABEL; way++) {
            int32_t s = entries[i].place[way].before;
            while (open(b, s) && !place[s]) s = SPOKEN(b)[s].before;
            int32_t common = open(b, s) ? place[s] : 0;
            if (common < shared) shared = common;
        }
    int32_t settled = ripe > shared ? ripe : shared;
    if (settled > count) settled = count;
    if (settled) {
        int32_t text = entries[best].text;
        for (int32_t i = settled; i < count; i++) text = texts[text].parent;
        b->settled = text;
        b->settled_end = CHARACTERS(b)[settled - 1].end;
    }
    return forget(b) ? OUT_OF_MEMORY : settled;
}

/* Texts and spoken characters that are held, for tests that watch over the memory. */
API int32_t beam_held(const Beam *b) { return b->texts + b->spoken; }

API int32_t beam_size(const Beam *b) { return b->entries; }

/* The entries as arrays: whole [4, N] (text, before, last, state), real [5, N] (bonus, masses, paths). */
API void beam_copy(const Beam *b, int32_t *whole, double *real) {
    int32_t n = b->entries;
    for (int32_t i = 0; i < n; i++) {
        const Entry *e = &ENTRIES(b)[i];
        const int32_t numbers[] = {e->text, e->before, e->last, e->state};
        const double values[] = {e->bonus, e->mass[BLANK], e->mass[LABEL], e->path[BLANK], e->path[LABEL]};
        for (int32_t k = 0; k < 4; k++) whole[k * n + i] = numbers[k];
        for (int32_t k = 0; k < 5; k++) real[k * n + i] = values[k];
    }
}

API void beam_move(Beam *b, const int32_t *states) {
    for (int32_t i = 0; i < b->entries; i++) ENTRIES(b)[i].state = states[i];
}
