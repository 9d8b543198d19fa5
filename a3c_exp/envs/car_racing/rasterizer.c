/* The small picture of CarRacing, byte for byte what pygame-ce draws and shrinks, row by row instead of polygon by polygon.

   The screen has 1000x800 pixels and is upside down; the picture has 96x96, and the status bar hides what is below row 100 of
   the screen. A row of the screen is 96 cells here, each with the ten or eleven pixels that become one of the picture. A cell
   has one color until something covers a part of it, so most of the drawing and most of the summing is done with cells. A row
   is finished, shortened and added to the picture while it is in the first cache; the whole screen never exists.

   The algorithms are those of others, written anew, for only the same arithmetic gives the same bytes:
   - smooth lines (Wu's, after Abrash), their clipping (Cohen and Sutherland's) and filled polygons: SDL_gfx by A. Schiffler, as
     in pygame-ce's src_c/SDL_gfx/SDL_gfxPrimitives.c (aapolygonColor, _aalineColor, _clipLine, filledPolygonColorMT);
   - the car's polygons: pygame.draw.polygon, src_c/draw.c (draw_fillpoly);
   - shrinking: pygame.transform.smoothscale, src_c/simd_transform_sse2.c (filter_shrink_X_SSE2, filter_shrink_Y_SSE2).
   Compile without fused multiply-add, which rounds differently. A color is 0x00BBGGRR. Nothing is kept from call to call. */

#include <stdint.h>
#include <string.h>

enum { WIDTH = 1000, HEIGHT = 800, BAR = 100, CELLS = 96, LANES = 4 * CELLS }; /* a lane is a channel of a cell */
enum { ROOM = 16 };                  /* for a cell's pixels */
enum { MIXED = 1 << 24 };            /* no color */
enum { ONE = 0x4000 };               /* smoothscale counts pixels in parts of this size */
enum { SPACE_X = ONE * WIDTH / CELLS, SPACE_Y = ONE * HEIGHT / CELLS };
enum { FURTHEST = 16383 };           /* a corner's coordinates, so that 32 bits are enough for all products */
enum { MOST_POLYGONS = 1000, MOST_CORNERS = 8 };

/* --- A row of the screen ------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t cells[CELLS];        /* the color of each, or MIXED if it has several */
    uint32_t pixels[CELLS][ROOM]; /* of mixed cells */
    /* How smoothscale divides a row. A cell's last pixel also belongs to the next cell, in parts. */
    uint8_t cell_of[WIDTH];       /* where a pixel is, the last ones in the cell that they end */
    int16_t first[CELLS + 1];     /* a cell's first pixel */
    uint16_t whole[LANES];        /* pixels that count in full; all but the last */
    uint16_t last[LANES];         /* what the last one counts, in parts of ONE */
    uint16_t before[LANES];       /* what the last one of the cell before counts here */
} Row;

static void divide_row(Row *row)
{
    memset(row, 0, sizeof *row);
    for (int x = 0, cell = 0, counter = SPACE_X, whole = 0, before = 0; x < WIDTH; x++) {
        row->cell_of[x] = (uint8_t)cell;
        if (counter > ONE) {
            counter -= ONE;
            whole++;
            continue;
        }
        for (int lane = 4 * cell; lane < 4 * cell + 3; lane++) { /* the fourth channel has no meaning, and becomes zero */
            row->whole[lane] = (uint16_t)whole;
            row->last[lane] = (uint16_t)counter;
            row->before[lane] = (uint16_t)before;
        }
        row->first[++cell] = (int16_t)(x + 1);
        before = ONE - counter;
        counter = SPACE_X - before;
        whole = 0;
    }
}

/* Color a cell's pixels from left to right, both included, counted from its first. Here and below a loop has a fixed length
   where a compiler makes a few wide instructions of it, without a jump. */
static inline void fill_part(Row *row, int cell, int left, int right, uint32_t color)
{
    uint32_t color_before = row->cells[cell], *pixels = row->pixels[cell];
    uint32_t kept = color_before == MIXED ? 0xffffffff : 0, other = color_before & ~kept;
    for (int k = 0; k < ROOM; k++) {
        uint32_t before = (pixels[k] & kept) | other;
        pixels[k] = k >= left && k <= right ? color : before;
    }
    row->cells[cell] = color_before == color ? color : MIXED;
}

/* Color the pixels from left to right, both included. */
static void fill(Row *row, int left, int right, uint32_t color)
{
    left = left < 0 ? 0 : left;
    right = right > WIDTH - 1 ? WIDTH - 1 : right;
    if (left > right)
        return;
    int from = row->cell_of[left], to = row->cell_of[right];
    fill_part(row, from, left - row->first[from], right - row->first[from], color);
    if (from != to)
        fill_part(row, to, 0, right - row->first[to], color);
    from += left > row->first[from]; /* from here on cells that are covered whole */
    to -= right < row->first[to + 1] - 1;
    for (int cell = 0; cell < CELLS; cell++)
        row->cells[cell] = cell >= from && cell <= to ? color : row->cells[cell];
}

/* Of each channel a weighted mean: d + ((c - d) * alpha >> 8), rounded down. */
static inline void blend(Row *row, int x, uint32_t color, uint32_t weight)
{
    int cell = row->cell_of[x];
    uint32_t alpha = 255 * weight >> 8, rest = 256 - alpha, below = row->cells[cell];
    if (below != MIXED) {
        if (below == color || alpha == 0)
            return;
        for (int k = 0; k < ROOM; k++)
            row->pixels[cell][k] = below;
        row->cells[cell] = MIXED;
    }
    uint32_t *pixel = &row->pixels[cell][x - row->first[cell]];
    uint32_t red_blue = ((*pixel & 0xff00ff) * rest + (color & 0xff00ff) * alpha) >> 8;
    uint32_t green = ((*pixel & 0xff00) * rest + (color & 0xff00) * alpha) >> 8;
    *pixel = (red_blue & 0xff00ff) | (green & 0xff00);
}

/* --- Smooth lines -------------------------------------------------------------------------------------------------- */

/* A line within the screen, from its lower end (the lesser y) on. A steep one advances a row at a time, a flat one a column;
   the position on the other axis is a multiple of the slope, in 65536ths. A step has two pixels, weighted by how near they are.
   The ends have none, but the start, which is either end, is drawn in full. Upright and level lines are solid. */
typedef struct {
    enum { SOLID, STEEP, FLAT } kind;
    int slope;
    int16_t low, high, x, end_x, length, direction, start_x, start_y;
} Line;

typedef struct { int left, right; } Cover; /* what of a row will be covered, so that it need not be drawn */

static inline int shows(int x, Cover cover) { return x < cover.left || x > cover.right; }

static int outside(int x, int y)
{
    return (x < 0 ? 1 : x > WIDTH - 1 ? 2 : 0) | (y > HEIGHT - 1 ? 4 : y < 0 ? 8 : 0);
}

/* Clip at the edges of the screen; returns whether anything is left. */
static int place_line(Line *line, int x1, int y1, int x2, int y2)
{
    for (int code1, code2; (code1 = outside(x1, y1)) | (code2 = outside(x2, y2));) {
        if (code1 & code2)
            return 0;
        if (!code1) {
            int x = x1, y = y1;
            x1 = x2, y1 = y2, x2 = x, y2 = y;
            code1 = code2;
        }
        float slope = x2 != x1 ? (float)(y2 - y1) / (float)(x2 - x1) : 1.0f;
        if (code1 & 3) {
            int edge = code1 & 1 ? 0 : WIDTH - 1;
            y1 += (int)((float)(edge - x1) * slope);
            x1 = edge;
        } else {
            int edge = code1 & 4 ? HEIGHT - 1 : 0;
            if (x2 != x1)
                x1 += (int)((float)(edge - y1) / slope);
            y1 = edge;
        }
    }
    int turned = y1 > y2, low = turned ? y2 : y1, high = turned ? y1 : y2, x = turned ? x2 : x1, end_x = turned ? x1 : x2;
    int forward = end_x > x, width = forward ? end_x - x : x - end_x, height = high - low, steep = height > width;
    *line = (Line){SOLID, 0, low, high, x, end_x, steep ? height : width, forward ? 1 : -1, x1, y1};
    if (width && height) {
        line->kind = steep ? STEEP : FLAT;
        line->slope = ((steep ? width : height) << 16) / line->length;
    }
    return 1;
}

/* A flat line's steps from first to last, each with the one of its pixels that is in this row. */
static inline void blend_steps(Row *row, const Line *line, int first, int last, uint32_t flip, Cover cover, uint32_t color)
{
    first = first < 1 ? 1 : first;
    last = last > line->length - 1 ? line->length - 1 : last;
    for (int step = first; step <= last; step++) {
        int x = line->x + line->direction * step;
        if (shows(x, cover))
            blend(row, x, color, (step * line->slope >> 8 & 255) ^ flip);
    }
}

/* The first step of a flat line at which it is so many rows above its lower end. */
static inline int first_step(const Line *line, int rows) { return ((rows << 16) + line->slope - 1) / line->slope; }

static void draw_line_row(Row *row, const Line *line, int y, Cover cover, uint32_t color)
{
    int rows = y - line->low;
    if (line->kind == SOLID) {
        fill(row, line->direction > 0 ? line->x : line->end_x, line->direction > 0 ? line->end_x : line->x, color);
        return;
    }
    if (y == line->start_y && shows(line->start_x, cover))
        fill(row, line->start_x, line->start_x, color);
    if (line->kind == FLAT) { /* steps that are in this row, and those in the row below, whose second pixel is in this one */
        int first = first_step(line, rows);
        blend_steps(row, line, first, first_step(line, rows + 1) - 1, 255, cover, color);
        if (rows > 0)
            blend_steps(row, line, first_step(line, rows - 1), first - 1, 0, cover, color);
    } else if (rows > 0 && y < line->high) {
        int at = rows * line->slope, x = line->x + line->direction * (at >> 16), beside = x + line->direction;
        if (shows(x, cover))
            blend(row, x, color, 255 - (at >> 8 & 255));
        if (shows(beside, cover))
            blend(row, beside, color, at >> 8 & 255);
    }
}

/* --- Polygons ------------------------------------------------------------------------------------------------------ */

typedef struct { int16_t low, high, x, width; } Edge; /* from its lower end (x, low), width to the right */

typedef struct {
    int16_t low, high, edge_count, level_count, line_count, smooth;
    uint32_t color;
    Edge edges[MOST_CORNERS], levels[MOST_CORNERS]; /* levels: edges without height that are drawn, from x on */
    Line lines[4];                                  /* a smooth outline; the car's polygons have none */
} Polygon;

/* Where a polygon's edges cross a row, in ascending order; returns how many do, an even number. In 65536ths of a pixel for a
   smooth one; those of the car are rounded, down and up in turn. */
static inline int find_crossings(const Polygon *polygon, int y, int *crossings)
{
    int count = 0;
    for (int k = 0; k < polygon->edge_count; k++) {
        const Edge *edge = &polygon->edges[k];
        if (y < edge->low || y > edge->high || (y == edge->high && y != polygon->high))
            continue;
        int rise = y - edge->low, height = edge->high - edge->low, at;
        if (polygon->smooth) {
            at = 65536 * rise / height * edge->width + 65536 * edge->x;
        } else {
            float x = (float)(rise * edge->width) / (float)height;
            int whole = (int)x;
            at = edge->x + (count % 2 ? whole + ((float)whole < x) : whole - ((float)whole > x));
        }
        int place = count++;
        for (; place > 0 && crossings[place - 1] > at; place--)
            crossings[place] = crossings[place - 1];
        crossings[place] = at;
    }
    return count;
}

static inline int rounded(int x) { return (x >> 16) + ((x & 32768) >> 15); }

static void draw_polygon_row(Row *row, const Polygon *polygon, int y)
{
    int crossings[MOST_CORNERS], count = find_crossings(polygon, y, crossings);
    if (polygon->smooth) {
        for (int k = 0; k < count; k += 2) {
            int left = rounded(crossings[k] + 1), right = rounded(crossings[k + 1] - 1);
            crossings[k] = left < right ? left : right;
            crossings[k + 1] = left < right ? right : left;
        }
        Cover cover = count == 2 ? (Cover){crossings[0], crossings[1]} : (Cover){WIDTH, WIDTH};
        for (const Line *line = polygon->lines; line < polygon->lines + polygon->line_count; line++)
            if (y >= line->low && y <= line->high)
                draw_line_row(row, line, y, cover, polygon->color);
    }
    for (int k = 0; k < count; k += 2)
        fill(row, crossings[k], crossings[k + 1], polygon->color);
    for (const Edge *level = polygon->levels; level < polygon->levels + polygon->level_count; level++)
        if (level->low == y)
            fill(row, level->x, level->x + level->width, polygon->color);
}

/* Returns 1 if it may show above the status bar, 0 if not, and -1 if it is too large. */
static int place_polygon(Polygon *polygon, const double *xs, const double *ys, int count, int smooth, uint32_t color)
{
    int x[MOST_CORNERS], y[MOST_CORNERS], left = FURTHEST, right = -FURTHEST, low = FURTHEST, high = -FURTHEST;
    for (int k = 0; k < count; k++) {
        if (!(xs[k] > -FURTHEST && xs[k] < FURTHEST && ys[k] > -FURTHEST && ys[k] < FURTHEST))
            return -1;
        x[k] = (int)xs[k], y[k] = (int)ys[k];
        left = x[k] < left ? x[k] : left, right = x[k] > right ? x[k] : right;
        low = y[k] < low ? y[k] : low, high = y[k] > high ? y[k] : high;
    }
    if (right < 0 || left > WIDTH - 1 || high < BAR || low > HEIGHT - 1)
        return 0;
    *polygon = (Polygon){.low = low, .high = high, .smooth = smooth, .color = color};
    if (!smooth && low == high) /* one of the car's: a row from the leftmost to the rightmost corner */
        polygon->levels[polygon->level_count++] = (Edge){low, low, left, right - left};
    for (int k = 0, before = count - 1; k < count; before = k++) {
        int upward = y[before] < y[k], level_x = x[k] < x[before] ? x[k] : x[before];
        if (upward)
            polygon->edges[polygon->edge_count++] = (Edge){y[before], y[k], x[before], x[k] - x[before]};
        else if (y[before] > y[k])
            polygon->edges[polygon->edge_count++] = (Edge){y[k], y[before], x[k], x[before] - x[k]};
        else if (!smooth && y[k] > low && y[k] < high)
            polygon->levels[polygon->level_count++] = (Edge){y[k], y[k], level_x, x[k] + x[before] - 2 * level_x};
    }
    for (int k = 0; smooth && k < count; k++) {
        int after = (k + 1) % count;
        polygon->line_count += place_line(&polygon->lines[polygon->line_count], x[k], y[k], x[after], y[after]);
    }
    return 1;
}

/* --- What is drawn ------------------------------------------------------------------------------------------------- */

typedef struct { double zoom, shift_x, shift_y, cosine, sine; } Camera;
typedef struct { double left, right, low, high; } Bounds; /* of what shows on the plane of the track, or a little more */
typedef struct {
    int32_t count;               /* of quadrilaterals: grass and road */
    const double *corners;       /* [2][4][count] */
    const double *least, *most;  /* [2][count]: the bounds of the corners */
    const double *colors;        /* [count][3] */
} Scenery;
typedef struct { int32_t first, count, color; } Part; /* of the car: its corners and color */

static int place_quadrilateral(
    Polygon *polygon, const Camera *camera, const double *x, const double *y, int stride, uint32_t color)
{
    double c = camera->cosine, s = camera->sine, on_screen_x[4], on_screen_y[4]; /* operations are in gymnasium's order */
    for (int k = 0; k < 4; k++) {
        on_screen_x[k] = (c * x[k * stride] - s * y[k * stride]) * camera->zoom + camera->shift_x;
        on_screen_y[k] = (s * x[k * stride] + c * y[k * stride]) * camera->zoom + camera->shift_y;
    }
    return place_polygon(polygon, on_screen_x, on_screen_y, 4, 1, color);
}

/* All polygons that may show, in the order in which they are drawn, after what is there already; returns their number, or -1 if
   they are too many or too large. */
static int place_polygons(const Scenery *scenery, const Camera *camera, const Bounds *bounds, Polygon *polygons, int count)
{
    const double *least = scenery->least, *most = scenery->most, *color = scenery->colors;
    for (int i = 0, n = scenery->count; i < n; i++, color += 3) {
        if (least[i] >= bounds->right || most[i] <= bounds->left || least[n + i] >= bounds->high || most[n + i] <= bounds->low)
            continue;
        uint32_t packed = (uint32_t)((uint8_t)color[0] | (uint8_t)color[1] << 8 | (uint8_t)color[2] << 16);
        const double *x = scenery->corners + i;
        int placed = count < MOST_POLYGONS ? place_quadrilateral(&polygons[count], camera, x, x + 4 * n, n, packed) : -1;
        if (placed < 0)
            return -1;
        count += placed;
    }
    return count;
}

static int place_parts(const Part *parts, int part_count, const double *corners, Polygon *polygons, int count)
{
    for (const Part *part = parts; part < parts + part_count; part++) {
        double x[MOST_CORNERS], y[MOST_CORNERS];
        if (count == MOST_POLYGONS || part->count > MOST_CORNERS || part->count < 4) /* pygame has another way for triangles */
            return -1;
        for (int k = 0; k < part->count; k++)
            x[k] = corners[2 * (part->first + k)], y[k] = corners[2 * (part->first + k) + 1];
        int placed = place_polygon(&polygons[count], x, y, part->count, 0, (uint32_t)part->color);
        if (placed < 0)
            return -1;
        count += placed;
    }
    return count;
}

/* --- Shrinking ----------------------------------------------------------------------------------------------------- */

static inline uint16_t upper_half(uint16_t a, uint16_t b) { return (uint16_t)((uint32_t)a * b >> 16); }

/* What a pixel's channel counts that counts in parts of ONE. */
static inline uint16_t part_of(uint16_t channel, uint16_t parts) { return upper_half((uint16_t)(channel << 2), parts); }

/* The sum of all pixels but the last, and the last, by channel. */
static inline void sum_pixels(const uint32_t *pixel, int whole, uint16_t *sum, uint16_t *end)
{
    const uint64_t even = 0x00ff00ff00ff00ff;
    uint64_t red_blue = 0, green = 0;
    const uint32_t *last = pixel + whole;
    for (int k = 0; k < 4; k++, pixel += 2) { /* two at a time: there are nine or ten */
        uint64_t two;
        memcpy(&two, pixel, sizeof two);
        red_blue += two & even;
        green += two >> 8 & even;
    }
    red_blue += red_blue >> 32;
    green += green >> 32;
    for (; pixel < last; pixel++) {
        red_blue += *pixel & 0xff00ff;
        green += *pixel >> 8 & 0xff;
    }
    sum[0] = (uint16_t)red_blue, sum[1] = (uint16_t)green, sum[2] = (uint16_t)(red_blue >> 16);
    end[0] = *last & 255, end[1] = *last >> 8 & 255, end[2] = *last >> 16 & 255;
}

static void shorten_row(const Row *row, uint16_t *narrow)
{
    uint16_t sums[LANES], ends[4 + LANES] = {0}; /* ends: the cells' last pixels, after one that is not there */
    uint8_t mixed[CELLS];
    const uint8_t *channels = (const uint8_t *)row->cells;
    for (int lane = 0; lane < LANES; lane++) { /* as if all cells had one color */
        ends[4 + lane] = channels[lane];
        sums[lane] = (uint16_t)(channels[lane] * row->whole[lane]);
    }
    for (int cell = 0; cell < CELLS; cell++)
        mixed[cell] = (uint8_t)(row->cells[cell] >> 24);
    for (int first = 0; first < CELLS; first += 8) { /* few are mixed: eight are looked at together */
        uint64_t some;
        memcpy(&some, mixed + first, sizeof some);
        for (int cell = first; some; cell++, some >>= 8)
            if (some & 255)
                sum_pixels(row->pixels[cell], row->whole[4 * cell], sums + 4 * cell, ends + 4 + 4 * cell);
    }
    for (int lane = 0; lane < LANES; lane++) {
        uint16_t shared = (uint16_t)(part_of(ends[lane], row->before[lane]) + part_of(ends[lane + 4], row->last[lane]));
        narrow[lane] = upper_half((uint16_t)(sums[lane] + shared), 0x40000000 / SPACE_X);
    }
}

typedef struct {
    int counter;
    uint16_t sums[LANES];
    uint8_t *picture; /* its next row */
} Columns;

static void add_row(Columns *columns, const uint16_t *restrict narrow)
{
    uint16_t *restrict sums = columns->sums;
    uint8_t *restrict picture = columns->picture;
    if (columns->counter > ONE) {
        columns->counter -= ONE;
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] = (uint16_t)(sums[lane] + narrow[lane]);
        return;
    }
    const uint16_t here = (uint16_t)columns->counter, rest = (uint16_t)(ONE - columns->counter);
    for (int lane = 0; lane < LANES; lane++) {
        picture[lane] = (uint8_t)upper_half((uint16_t)(sums[lane] + part_of(narrow[lane], here)), 0x40000000 / SPACE_Y);
        sums[lane] = part_of(narrow[lane], rest);
    }
    columns->picture += LANES;
    columns->counter = SPACE_Y - rest;
}

/* --- The picture --------------------------------------------------------------------------------------------------- */

/* Put polygon i into the list of those that are active, which is sorted; returns the new number of them. */
static int activate(int16_t *active, int count, int i)
{
    int place = count;
    for (; place > 0 && active[place - 1] > i; place--)
        active[place] = active[place - 1];
    active[place] = (int16_t)i;
    return count + 1;
}

static void draw_rows(Polygon *polygons, int count, uint32_t behind, Columns *columns)
{
    int16_t uppermost[HEIGHT], next[MOST_POLYGONS], active[MOST_POLYGONS]; /* lists of those with their upper end in a row */
    int active_count = 0;
    Row row;
    uint16_t narrow[LANES];
    memset(uppermost, -1, sizeof uppermost);
    for (int i = 0; i < count; i++) {
        int top = polygons[i].high < HEIGHT - 1 ? polygons[i].high : HEIGHT - 1;
        next[i] = uppermost[top];
        uppermost[top] = (int16_t)i;
    }
    divide_row(&row);
    for (int y = HEIGHT - 1; y >= BAR; y--) { /* which turns it over: the screen is upside down */
        for (int i = uppermost[y]; i >= 0; i = next[i])
            active_count = activate(active, active_count, i);
        for (int cell = 0; cell < CELLS; cell++)
            row.cells[cell] = behind;
        int kept = 0;
        for (int k = 0; k < active_count; k++) {
            const Polygon *polygon = &polygons[active[k]];
            draw_polygon_row(&row, polygon, y);
            if (polygon->low < y)
                active[kept++] = active[k];
        }
        active_count = kept;
        shorten_row(&row, narrow);
        add_row(columns, narrow);
    }
}

/* Draw the track and the car, put the status bar ([100][96] colors, already shortened) below, and shrink all that to the
   picture [96][96][4]. The field [2][4] is what has the color of the background, or NULL if all that shows has it. The car's
   corners are [..][2], on the screen. Returns 0, without a picture, if there is too much to draw, or too large. */
int draw_picture(
    const Scenery *scenery, const Camera *camera, const Bounds *bounds, const double *field, uint32_t background,
    const Part *parts, int part_count, const double *corners, const uint8_t *bar, uint8_t *picture)
{
    Polygon polygons[MOST_POLYGONS];
    int count = field ? place_quadrilateral(polygons, camera, field, field + 4, 1, background) : 0;
    if (count < 0 || (count = place_polygons(scenery, camera, bounds, polygons, count)) < 0)
        return 0;
    if ((count = place_parts(parts, part_count, corners, polygons, count)) < 0)
        return 0;
    Columns columns = {.counter = SPACE_Y, .picture = picture};
    draw_rows(polygons, count, field ? 0 : background, &columns);
    for (int y = 0; y < BAR; y++, bar += LANES) {
        uint16_t narrow[LANES];
        for (int lane = 0; lane < LANES; lane++)
            narrow[lane] = bar[lane];
        add_row(&columns, narrow);
    }
    return 1;
}
