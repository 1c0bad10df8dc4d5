/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/settings_parts.h"

#include "base/strv.h"
#include "config/config.h"
#include "oci/config.h"

#include <stdarg.h>

#define CLASS_ANNOTATION "class"

const char *settings_annotation(const Grpc__Spec *spec, const char *key)
{
    _cleanup_free_ char *name = must_printf(SETTINGS_PREFIX "%s", key);
    const char *value = oci_annotation(spec, name);
    return value && *value ? value : NULL;
}

struct error *settings_refuse(const char *key, const char *value, const char *reason)
{
    return error_new(
        ERROR_INVALID_ARGUMENT, "annotation " SETTINGS_PREFIX "%s: \"%s\" %s", key, value, reason);
}

void settings_remark(struct settings *settings, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    strv_take(&settings->remarks, must_vprintf(format, arguments));
    va_end(arguments);
}

static void show_class(struct settings *settings)
{
    const struct class *class = settings->class;
    settings->hypervisor = class->hypervisor;
    settings->kernel = class->kernel;
    settings->initrd = class->initrd;
    settings->kernel_params = *class->kernel_params ? class->kernel_params : NULL;
    settings->scratch_size = class->scratch_size;
    settings->guest_seccomp = class->guest_seccomp;
    settings->debug = class->debug;
}

struct error *settings_read(
    const Grpc__Spec *spec, const struct class *class, bool trusted, struct settings **ret_settings)
{
    _cleanup_settings_ struct settings *settings = must_new(struct settings);
    struct settings_wishes wishes = {0};
    settings->class = class_copy(class);
    TRY(settings_annotate(settings, spec, trusted, &wishes));
    show_class(settings);
    TRY(settings_size(settings, spec, &wishes));
    if (trusted)
        TRY(settings_network(settings, spec));
    *ret_settings = TAKE_PTR(settings);
    return NULL;
}

static struct error *load_class(
    const struct settings_source *source, const struct config_place *place, struct class **ret_class)
{
    _cleanup_config_ struct config *config = NULL;
    const char *annotated = settings_annotation(source->spec, CLASS_ANNOTATION);
    TRY(config_load(place->file, place->optional, &config));
    if (annotated)
        return error_wrap(
            config_class(config, annotated, ret_class), "annotation " SETTINGS_PREFIX CLASS_ANNOTATION);
    return error_wrap(
        config_class(config, place->class_name ? place->class_name : CONFIG_DEFAULT_CLASS, ret_class), "%s",
        place->file);
}

struct error *settings_load(const struct settings_source *source, struct settings **ret_settings)
{
    struct config_place place;
    _cleanup_class_ struct class *class = NULL;
    config_place_find(source->config_path, &place);
    struct error *error = load_class(source, &place, &class);
    if (!error)
        error = settings_read(source->spec, class, source->trusted, ret_settings);
    if (!error && place.foreign)
        settings_remark(*ret_settings,
            "ConfigPath %s is a configuration of Kata Containers and was left aside; %s holds",
            source->config_path, place.file);
    config_place_clear(&place);
    return error;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    class_free(settings->class);
    for (size_t i = 0; i < settings->port_count; i++)
        free((char *)(uintptr_t)settings->ports[i].host_address);
    free(settings->ports);
    strv_free(settings->dns);
    strv_free(settings->remarks);
    free(settings);
}
