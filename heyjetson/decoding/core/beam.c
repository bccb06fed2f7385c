/* The compiled beam search: what heyjetson/decoding/beam.py does with numpy, frame by frame, with the same results.
 *
 * Sums are added in numpy's order and logaddexp is numpy's, so that both agree to the last bits; it must be compiled
 * without contraction of sums and products (-ffp-contract=off) and without -ffast-math.
 */
#include "search.h"

#ifndef SOURCE_HASH
#define SOURCE_HASH "unknown"
#endif

int reserve(Buffer *buffer, size_t count, size_t size) {
    if (count * size <= buffer->room) return 0;
    size_t room = buffer->room * 2 > count * size ? buffer->room * 2 : count * size;
    if (room < 1024) room = 1024;
    void *data = realloc(buffer->data, room);
    if (!data) return OUT_OF_MEMORY;
    buffer->data = data;
    buffer->room = room;
    return 0;
}

double logaddexp(double x, double y) {
    if (x == y) return x + 0.693147180559945309417232121458176568; /* infinities of the same sign, too */
    double difference = x - y;
    return difference > 0 ? x + log1p(exp(-difference)) : y + log1p(exp(difference));
}

double ranked(const Guide *g, const Entry *e) {
    return logaddexp(e->mass[BLANK], e->mass[LABEL]) + e->bonus + guide_potential(g, &e->spelling);
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
                     &b->sums, &b->paths, &b->order, &b->labels, &b->map, &b->reached};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
    free(b);
}

/* Begin an utterance. */
API int beam_reset(Beam *b, const Guide *g) {
    RESERVE(b->entry, 1, Entry);
    RESERVE(b->text, 1, Text);
    b->frames = b->settled = b->settled_end = b->spoken = 0;
    b->entries = b->texts = 1;
    TEXTS(b)[0] = (Text){-1, g->space, 0, -1, -1, -1};
    Place nowhere = {-1, -1, -1};
    Entry *e = ENTRIES(b);
    *e = (Entry){.before = -1, .last = g->space, .mass = {-INFINITY, 0.0}, .path = {-INFINITY, 0.0},
                 .place = {nowhere, nowhere}};
    guide_start(g, &e->spelling, &e->context);
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

/* Whether so long a pause lies between the last character of an entry and one in this frame that a word ended. */
static int paused(const Beam *b, const Guide *g, const Entry *e, int32_t label) {
    if (!g->pause || e->last == g->space || label == g->space) return 0;
    int way = e->path[LABEL] > e->path[BLANK] && e->last != label ? LABEL : BLANK;
    return b->frames - e->place[way].end >= g->pause;
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

/* One frame, [labels + 1], the blank last. */
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
            int likeliest = path > after[j].path[BLANK];
            after[j].path[LABEL] = path;
            after[j].peak[LABEL] = row[label];
            after[j].place[LABEL] = (Place){b->frames, b->frames + 1, speak(b, &old[i], again)};
            Spelling target; /* where pauses end words, the likeliest way says which words */
            Context none;
            double gain;
            if (g->pause && likeliest &&
                guide_add(g, &old[i].spelling, &old[i].context, label, paused(b, g, &old[i], label), &target, &none, &gain)) {
                after[j].spelling = target;
                after[j].bonus = old[i].bonus + gain;
            }
        }
    }
    double limit = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        double score = ranked(g, &after[i]);
        candidates[i] = (Candidate){.score = score, .origin = i, .label = -1};
        scratch[i] = score;
        if (score > limit) limit = score;
    }
    limit -= b->beam_threshold;
    if (n >= b->beam_size) {
        double least = largest(scratch, n, b->beam_size - 1);
        if (least > limit) limit = least;
    }
    int32_t total = n, contexts = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t c = 0; c < count; c++) {
            int32_t label = labels[c];
            int again = old[i].last == label;
            double reach = (again ? old[i].mass[BLANK] : sums[i]) + row[label];
            /* What cannot come into the beam even with the most that may be added needs no language model. */
            if (reach == -INFINITY || !(reach + old[i].bonus >= limit - g->most)) continue;
            int32_t child = longer(b, old[i].text, label);
            if (child >= 0 && texts[child].where >= 0) continue;
            double gain;
            Spelling target;
            if (reserve(&b->reached, (size_t)contexts + 1, sizeof(Context))) goto full;
            Context *reached = (Context *)b->reached.data + contexts;
            int came = guide_add(g, &old[i].spelling, &old[i].context, label, paused(b, g, &old[i], label), &target,
                                 reached, &gain);
            if (!came) continue;
            double bonus = old[i].bonus + gain;
            double path = (again ? old[i].path[BLANK] : paths[i]) + row[label];
            double ranks = reach + bonus + guide_potential(g, &target);
            int32_t context = came == 2 ? contexts++ : -1;
            candidates[total++] = (Candidate){ranks, bonus, reach, path, i, label, target, context};
        }
    }
    for (int32_t i = 0; i < n; i++) texts[old[i].text].where = -1;
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
                               {-INFINITY, c->path}, {peak, peak}, {fresh, fresh}, e->context};
        if (c->context >= 0) after[place].context = ((Context *)b->reached.data)[c->context];
    }
    n = kept;
done:;
    Buffer swap = b->entry;
    b->entry = b->next;
    b->next = swap;
    b->entries = n;
    b->frames++;
    return 0;
full:
    for (int32_t i = 0; i < n; i++) texts[old[i].text].where = -1;
    return OUT_OF_MEMORY;
}

/* Rows [frames, labels + 1]. Returns 0, or -1 without memory. */
API int beam_run(Beam *b, const Guide *g, const double *rows, int32_t frames) {
    for (int32_t t = 0; t < frames; t++)
        if (step(b, g, rows + (size_t)t * (size_t)(g->labels + 1))) return OUT_OF_MEMORY;
    return 0;
}
