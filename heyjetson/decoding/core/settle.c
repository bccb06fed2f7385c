/* What the compiled beam search says: the best text, its characters, what is settled, and what is forgotten. */
#include "search.h"

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

/* The entries as arrays: whole [3, N] (text, before, last), real [5, N] (bonus, masses, paths). */
API void beam_copy(const Beam *b, int32_t *whole, double *real) {
    int32_t n = b->entries;
    for (int32_t i = 0; i < n; i++) {
        const Entry *e = &ENTRIES(b)[i];
        const int32_t numbers[] = {e->text, e->before, e->last};
        const double values[] = {e->bonus, e->mass[BLANK], e->mass[LABEL], e->path[BLANK], e->path[LABEL]};
        for (int32_t k = 0; k < 3; k++) whole[k * n + i] = numbers[k];
        for (int32_t k = 0; k < 5; k++) real[k * n + i] = values[k];
    }
}

/* What the end of the utterance adds to each entry, [N]. */
API void beam_finish(const Beam *b, const Guide *g, double *gains) {
    for (int32_t i = 0; i < b->entries; i++)
        gains[i] = guide_finish(g, &ENTRIES(b)[i].spelling, &ENTRIES(b)[i].context);
}
