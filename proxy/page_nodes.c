/* page_nodes - who is there, how it is, and what it uses; "nodes" of docs/pages.md */
#include "proxy/pages.h"

static err_t s_ask(proxy_call_t *call, Elanus__InspectAsk *ask)
{
    (void)call;
    ask->state = true;          /* the leading coord tells whom it suspects */
    return OK;
}

/* What the leading coord thinks of its health; NULL: nobody says. */
static const Elanus__Member *s_judged(const page_look_t *look, uint64_t id)
{
    for (size_t i = 0; i < look->n_nodes; i++) {
        const Elanus__Inspection *found = look->nodes[i].found;
        for (size_t m = 0; found && m < found->n_members; m++)
            if (found->members[m]->info && found->members[m]->info->id == id)
                return found->members[m];
    }
    return NULL;
}

static const char *s_state(const page_look_t *look, const page_node_t *node)
{
    if (!node->found)
        return "silent";
    const Elanus__Member *judged = s_judged(look, node->info->id);
    if (judged && judged->health == ELANUS__NODE_HEALTH__NODE_SUSPECT)
        return "suspect";
    if (judged && judged->health == ELANUS__NODE_HEALTH__NODE_JOINING)
        return "joining";
    return "up";
}

static json_t *s_figures(const Elanus__Inspection *found)
{
    json_t *figures = json_object();
    for (size_t i = 0; i < found->n_figures; i++)
        json_object_set_new(figures, found->figures[i]->name,
                            json_integer((json_int_t)found->figures[i]->value));
    return figures;
}

static void s_count(json_t *into, const char *key, bool known, uint64_t value)
{
    json_object_set_new(into, key, known ? json_integer((json_int_t)value) : json_null());
}

static void s_add_uses(json_t *item, const page_node_t *node)
{
    static const Elanus__NodeStatus s_unknown;
    const Elanus__NodeStatus *status = node->found && node->found->status ? node->found->status
                                                                          : &s_unknown;
    bool known = status != &s_unknown;
    s_count(item, "cpu_cores", known, (uint64_t)status->cpu_cores);
    json_object_set_new(item, "cpu_percent", known ? json_real(status->cpu_percent) : json_null());
    s_count(item, "memory_used", known, status->memory_used);
    s_count(item, "memory_total", known, status->memory_total);
    s_count(item, "memory_limit", node->info->memory_limit > 0, node->info->memory_limit);
    s_count(item, "disk_used", known, status->disk_used);
    s_count(item, "disk_total", known, status->disk_total);
    s_count(item, "calls", known, node->found ? node->found->calls : 0);
    json_object_set_new(item, "figures", node->found ? s_figures(node->found) : json_null());
}

static void s_fill(proxy_node_t *self, page_look_t *look)
{
    for (size_t i = 0; i < look->n_nodes; i++) {
        const page_node_t *node = &look->nodes[i];
        const Elanus__NodeInfo *info = node->info;
        json_t *item = json_object();
        json_object_set_new(item, "name", json_string(node->name));
        json_object_set_new(item, "id", page_id(info->id));
        json_object_set_new(item, "role", json_string(info->role));
        json_object_set_new(item, "state", json_string(s_state(look, node)));
        json_object_set_new(item, "leader", json_boolean(page_leads(self, node)));
        json_object_set_new(item, "address", page_text(info->address));
        json_object_set_new(item, "ops_address", page_text(info->ops_address));
        json_object_set_new(item, "host", page_text(info->host));
        json_object_set_new(item, "version", page_text(info->version));
        json_object_set_new(item, "started_ms", json_integer((json_int_t)info->started_ms));
        s_add_uses(item, node);
        json_array_append_new(look->items, item);
    }
}

const page_t page_nodes = { .name = "nodes", .ask = s_ask, .fill = s_fill };
