/* scalar_trie - a dictionary that is a trie, its edges as long as they can be
 *
 * Nodes lie in preorder, so the texts below a node are a range of ordinals, its first child is the
 * node behind it, and a walk over texts in order is a walk over nodes.  The root has no label.
 *
 *     offset   size   field of a node
 *     0        4      where its label begins in KEYS
 *     4        4      ordinal of the first text that is here or below; bit 31: a text ends here
 *     8        4      the node behind all that are below
 *     12       2      bytes on the way to it, without its label
 *     14       2      bytes of its label
 *
 * Behind the last one there is one that has only an ordinal, the number of texts.  A node without
 * a text has two children or more, so there are fewer than two nodes a text.
 *
 * Not LOUDS, which takes two bits and a byte where this takes 16 bytes, and a select for every
 * step: postings take more than either.
 */
#include "core/scalar/scalar_int.h"

enum { NODE_BYTES = 16 };

#define ENDS_HERE 0x80000000u

typedef struct node {
    uint32_t label, first, next;
    uint16_t depth, len;
    bool ends;
} node_t;

static node_t s_node(const scalar_index_t *self, uint64_t i)
{
    const uint8_t *p = self->parts[PART_HEADS].ptr + NODE_BYTES * i;
    uint32_t first = load_u32(p + 4);
    return (node_t){ .label = load_u32(p), .first = first & ~ENDS_HERE, .ends = first & ENDS_HERE,
                     .next = load_u32(p + 8), .depth = load_u16(p + 12), .len = load_u16(p + 14) };
}

static view_t s_label(const scalar_index_t *self, const node_t *node)
{
    return view_of(self->parts[PART_KEYS].ptr + node->label, node->len);
}

static uint32_t s_first_of(const scalar_index_t *self, uint64_t i)
{
    return load_u32(self->parts[PART_HEADS].ptr + NODE_BYTES * i + 4) & ~ENDS_HERE;
}

/* --- writing ------------------------------------------------------------------------------ */

/* A node whose texts are not all read yet. */
typedef struct open_node {
    uint32_t number;
    size_t depth, end;          /* bytes of the way, without and with its label */
} open_node_t;

typedef struct trie_writer {
    scalar_writer_t *w;
    const scalar_terms_t *terms;
    buf_t nodes;                /* owned */
    buf_t path;                 /* owned; of open_node_t, from the root on */
    size_t begin;               /* of KEYS */
    uint32_t n;
} trie_writer_t;

static open_node_t *s_top(trie_writer_t *t)
{
    return (open_node_t *)(void *)(t->path.ptr + t->path.len) - 1;
}

static size_t s_shared(view_t a, view_t b)
{
    size_t most = a.len < b.len ? a.len : b.len, n = 0;
    while (n < most && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

/* How far texts [from, to) go together: the first and the last say it. */
static size_t s_together(const trie_writer_t *t, size_t from, size_t to)
{
    return s_shared(t->terms->texts[from], t->terms->texts[to - 1]);
}

/* The texts from `from` on, before `to`, that have the same byte at `at`. */
static size_t s_same_byte(const trie_writer_t *t, size_t from, size_t to, size_t at)
{
    uint8_t byte = t->terms->texts[from].ptr[at];
    size_t low = from + 1, high = to;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->terms->texts[mid].ptr[at] == byte)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void s_close(trie_writer_t *t)
{
    uint32_t number = s_top(t)->number;
    t->path.len -= sizeof(open_node_t);
    if (buf_ok(&t->nodes))
        store_u32(t->nodes.ptr + NODE_BYTES * number + 8, t->n);
}

/* A node for the texts from `from` on that goes from depth to end. */
static void s_open(trie_writer_t *t, size_t from, size_t depth, size_t end)
{
    view_t text = t->terms->texts[from];
    uint8_t node[NODE_BYTES] = {0};
    store_u32(node, (uint32_t)(t->w->out->len - t->begin));
    store_u32(node + 4, (uint32_t)from | (text.len == end ? ENDS_HERE : 0));
    store_u16(node + 12, (uint16_t)depth);
    store_u16(node + 14, (uint16_t)(end - depth));
    buf_add(&t->nodes, node, sizeof node);
    buf_add(t->w->out, text.ptr + depth, end - depth);
    buf_add(&t->path, &(open_node_t){ t->n++, depth, end }, sizeof(open_node_t));
}

/* Text i: what of the way it does not share is closed; then a node for it and those behind it
 * that share more than the way, and one in that, and so on to its own end.  ends[d]: where the
 * texts that share the way of open node d end. */
static void s_add(trie_writer_t *t, size_t i, size_t *ends)
{
    view_t text = t->terms->texts[i];
    size_t depth;
    while (t->path.len > sizeof(open_node_t) &&
           ends[t->path.len / sizeof(open_node_t) - 1] <= i)
        s_close(t);
    while (buf_ok(&t->path) && (depth = s_top(t)->end) < text.len) {
        size_t open = t->path.len / sizeof(open_node_t);
        size_t to = s_same_byte(t, i, ends[open - 1], depth);
        s_open(t, i, depth, s_together(t, i, to));
        ends[open] = to;
    }
}

static err_t s_write(ctx_t *ctx, trie_writer_t *t, size_t *ends)
{
    static const uint8_t root[NODE_BYTES];
    uint8_t last[NODE_BYTES] = {0};
    size_t n = t->terms->n;
    buf_add(&t->nodes, root, sizeof root);
    buf_add(&t->path, &(open_node_t){0}, sizeof(open_node_t));
    t->n = 1;
    ends[0] = n;
    if (n > 0 && t->terms->texts[0].len == 0 && buf_ok(&t->nodes))
        store_u32(t->nodes.ptr + 4, ENDS_HERE);
    for (size_t i = 0; i < n && buf_ok(&t->nodes) && buf_ok(&t->path); i++) {
        if (i % 65536 == 0)
            TRY(ctx_alive(ctx));
        s_add(t, i, ends);
    }
    while (buf_ok(&t->path) && t->path.len > 0)
        s_close(t);
    store_u32(last + 4, (uint32_t)n);
    buf_add(&t->nodes, last, sizeof last);
    scalar_writer_end(t->w, PART_KEYS);
    buf_add_view(t->w->out, buf_view(&t->nodes));
    scalar_writer_end(t->w, PART_HEADS);
    return buf_ok(&t->nodes) && buf_ok(&t->path) ? OK
         : ctx_fail(ctx, ERR_MEMORY, "no memory for a trie of %zu texts", n);
}

err_t scalar_write_trie(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms)
{
    trie_writer_t t = { .w = w, .terms = terms, .begin = w->out->len };
    size_t *ends = mem_try(ctx, (LIMIT_VARCHAR_BYTES + 2) * sizeof *ends);
    err_t err = ends ? s_write(ctx, &t, ends)
              : ctx_fail(ctx, ERR_MEMORY, "no memory for a trie of %zu texts", terms->n);
    mem_free(ends);
    buf_fini(&t.nodes);
    buf_fini(&t.path);
    return err;
}

/* --- checking ----------------------------------------------------------------------------- */

static bool s_check_child(const scalar_index_t *self, const node_t *node, const node_t *child,
                          uint64_t i)
{
    return child->len > 0 && child->depth == node->depth + node->len &&
           child->next > i && child->next <= node->next &&
           (uint64_t)child->label + child->len <= self->parts[PART_KEYS].len &&
           child->depth + child->len <= LIMIT_VARCHAR_BYTES;
}

/* Its children follow one another to its end, by their first bytes, and share out its texts. */
static bool s_check_node(const scalar_index_t *self, uint64_t i)
{
    node_t node = s_node(self, i);
    uint64_t at = i + 1;
    uint32_t first = node.first + node.ends;
    int byte = -1;
    if (at == node.next)
        return node.ends && s_first_of(self, at) == first;
    while (at < node.next) {
        node_t child = s_node(self, at);
        if (child.first != first || !s_check_child(self, &node, &child, at) ||
            s_label(self, &child).ptr[0] <= byte)
            return false;
        byte = s_label(self, &child).ptr[0];
        at = child.next;
        first = s_first_of(self, at);
    }
    return at == node.next;
}

err_t scalar_check_trie(ctx_t *ctx, const scalar_index_t *self)
{
    uint64_t nodes = self->parts[PART_HEADS].len / NODE_BYTES;
    if (self->parts[PART_HEADS].len % NODE_BYTES || nodes < 2 || nodes > UINT32_MAX ||
        self->n >= ENDS_HERE)
        return scalar_damaged(ctx, self, "its trie has another length");
    node_t root = s_node(self, 0);
    if (root.first != 0 || root.len != 0 || root.depth != 0 || root.next != nodes - 1 ||
        s_first_of(self, nodes - 1) != self->n)
        return scalar_damaged(ctx, self, "its trie has no root");
    if (self->n == 0)
        return nodes == 2 && !root.ends ? OK : scalar_damaged(ctx, self, "a trie of no text");
    for (uint64_t i = 0; i < nodes - 1; i++)
        if (!s_check_node(self, i))
            return scalar_damaged(ctx, self, "a node of its trie is wrong");
    return OK;
}

/* --- finding ------------------------------------------------------------------------------ */

/* Where the way of a text leads. */
typedef struct way {
    uint64_t node;              /* the last whose label is on it whole */
    size_t at;                  /* bytes of the text until there */
    uint64_t child;             /* of the node: the first whose label is not below the rest */
    size_t same;                /* bytes that its label shares with the rest */
} way_t;

static way_t s_follow(const scalar_index_t *self, view_t text)
{
    way_t way = {0};
    node_t node = s_node(self, 0);
    for (bool down = true; down && way.at < text.len; ) {
        down = false;
        way.same = 0;
        for (way.child = way.node + 1; way.child < node.next; ) {
            node_t child = s_node(self, way.child);
            view_t label = s_label(self, &child);
            view_t rest = view_of(text.ptr + way.at, text.len - way.at);
            way.same = s_shared(label, rest);
            if (way.same == label.len) {
                way.node = way.child;
                way.at += label.len;
                node = child;
                down = true;
                break;
            }
            if (way.same == rest.len || label.ptr[way.same] > rest.ptr[way.same])
                return way;
            way.same = 0;
            way.child = child.next;
        }
    }
    if (way.at == text.len)
        way.child = way.node + 1;
    return way;
}

uint64_t scalar_lower_trie(const scalar_index_t *self, view_t text, bool *ret_exact)
{
    way_t way = s_follow(self, text);
    node_t node = s_node(self, way.node);
    *ret_exact = way.at == text.len && node.ends;
    return way.at == text.len ? node.first : s_first_of(self, way.child);
}

ordinals_t scalar_prefix_trie(const scalar_index_t *self, view_t prefix)
{
    way_t way = s_follow(self, prefix);
    uint64_t node = way.at == prefix.len ? way.node : way.child;
    if (way.at + way.same < prefix.len && way.at < prefix.len)
        return (ordinals_t){0};
    return (ordinals_t){ s_first_of(self, node), s_first_of(self, s_node(self, node).next) };
}

/* --- walking ------------------------------------------------------------------------------ */

static void s_take_label(scalar_walk_t *w, const node_t *node)
{
    view_t label = s_label(w->index, node);
    memcpy(w->text + node->depth, label.ptr, label.len);
    w->len = (size_t)node->depth + label.len;
}

/* Down to the node where the text at w->at ends, which is to be read next. */
void scalar_walk_begin_trie(scalar_walk_t *w)
{
    node_t node = s_node(w->index, 0);
    w->node = 0;
    while (!node.ends || node.first != w->at) {
        uint64_t child = w->node + 1;
        s_take_label(w, &node);
        while (s_first_of(w->index, s_node(w->index, child).next) <= w->at)
            child = s_node(w->index, child).next;
        w->node = child;
        node = s_node(w->index, child);
    }
}

void scalar_walk_next_trie(scalar_walk_t *w)
{
    for (bool ends = false; !ends; w->node++) {
        node_t node = s_node(w->index, w->node);
        s_take_label(w, &node);
        ends = node.ends;
    }
}
