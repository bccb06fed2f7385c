/* The lines of an ARPA file. */
#include "search.h"

/* The place behind the field that begins at or after `at` on this line; `at` where there is none. */
static int64_t field(const unsigned char *text, int64_t size, int64_t at, int64_t *begin) {
    int64_t end;
    *begin = at;
    while (*begin < size && (text[*begin] == ' ' || text[*begin] == '\t' || text[*begin] == '\r')) ++*begin;
    for (end = *begin; end < size && text[end] > ' '; end++) {}
    return end > *begin ? end : (*begin = at);
}

/* The next lines of n-grams. Writes where each has its probability, its backoff (nothing where it has none) and its last
 * word, begins and ends [lines, 6], and, where there is a vocabulary, the numbers of its words, [lines, n]. Returns the
 * bytes read; -1 where a line is not an n-gram. */
API int64_t arpa_lines(
    const unsigned char *text, int64_t size, int32_t n, int64_t lines, const Ngram *m, int64_t *places,
    int32_t *words) {
    int64_t at = 0;
    for (int64_t line = 0; line < lines; line++, places += 6) {
        int64_t begin, end = field(text, size, at, &begin);
        if (end == begin) return -1;
        places[0] = begin;
        places[1] = at = end;
        for (int32_t i = 0; i < n; i++, at = end) {
            end = field(text, size, at, &begin);
            if (end == begin) return -1;
            int64_t length = end - begin;
            if (m) ngram_numbers(m, text + begin, &length, 1, &words[line * n + i]);
        }
        places[4] = begin;
        places[5] = end;
        at = field(text, size, at, &begin);
        places[2] = begin;
        places[3] = at;
        if (at == begin) places[2] = places[3] = at;
        end = field(text, size, at, &begin);
        if (end != begin) return -1;
        while (at < size && text[at] != '\n') at++;
        if (at < size) at++;
    }
    return at;
}
